; meta.scm - a Scheme in Scheme, at work: the evaluator below runs a program
; that computes Fibonacci numbers, primes, and a tower of closures.
;
; An environment is a list of frames, a frame a list of bindings (name . value).

(define (extend names values env)
  (define (bind names values)
    (cond ((null? names) '())
          ((symbol? names) (list (cons names values)))
          (else (cons (cons (car names) (car values))
                      (bind (cdr names) (cdr values))))))
  (cons (bind names values) env))

(define (lookup name env)
  (cond ((null? env) (error "meta: not defined:" name))
        ((assq name (car env)))
        (else (lookup name (cdr env)))))

(define (define-name! name value env)
  (set-car! env (cons (cons name value) (car env))))

; A procedure of the inner Scheme: a vector, marked so.
(define (make-procedure names body env) (vector 'procedure names body env))

(define (run-body body env)
  (if (null? (cdr body))
      (evaluate (car body) env)
      (begin (evaluate (car body) env)
             (run-body (cdr body) env))))

(define (call procedure arguments)
  (if (vector? procedure)
      (run-body (vector-ref procedure 2)
                (extend (vector-ref procedure 1) arguments (vector-ref procedure 3)))
      (apply procedure arguments)))

(define (evaluate-cond clauses env)
  (cond ((null? clauses) #f)
        ((or (eq? (caar clauses) 'else) (evaluate (caar clauses) env))
         (run-body (cdar clauses) env))
        (else (evaluate-cond (cdr clauses) env))))

(define (evaluate-define form env)
  (if (pair? (cadr form))
      (define-name! (caadr form) (make-procedure (cdadr form) (cddr form) env) env)
      (define-name! (cadr form) (evaluate (caddr form) env) env)))

(define (evaluate-let form env)
  (run-body (cddr form)
            (extend (map car (cadr form))
                    (map (lambda (binding) (evaluate (cadr binding) env)) (cadr form))
                    env)))

(define (evaluate form env)
  (cond ((symbol? form) (cdr (lookup form env)))
        ((not (pair? form)) form)
        (else
         (case (car form)
           ((quote) (cadr form))
           ((if) (if (evaluate (cadr form) env)
                     (evaluate (caddr form) env)
                     (evaluate (cadddr form) env)))
           ((cond) (evaluate-cond (cdr form) env))
           ((define) (evaluate-define form env))
           ((let) (evaluate-let form env))
           ((lambda) (make-procedure (cadr form) (cddr form) env))
           (else
            (call (evaluate (car form) env)
                  (map (lambda (part) (evaluate part env)) (cdr form))))))))

(define global-env
  (extend '(+ - * = < remainder cons car cdr null? not list)
          (list + - * = < remainder cons car cdr null? not list)
          '()))

(define program
  '((define (fib n)
      (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2)))))

    (define (prime? n)
      (define (try d)
        (cond ((< n (* d d)) #t)
              ((= (remainder n d) 0) #f)
              (else (try (+ d 1)))))
      (try 2))
    (define (primes from to)
      (cond ((< to from) '())
            ((prime? from) (cons from (primes (+ from 1) to)))
            (else (primes (+ from 1) to))))

    (define (compose . fs)
      (if (null? fs)
          (lambda (x) x)
          (let ((f (car fs)) (g (apply-to compose (cdr fs))))
            (lambda (x) (f (g x))))))
    (define (tower n)
      (if (= n 0) (lambda (x) x) (compose (lambda (x) (+ x 1)) (tower (- n 1)))))

    (list (fib 20) (primes 2 400) ((tower 300) 0))))

; What the inner Scheme cannot do alone: call one of its procedures with a list.
(define-name! 'apply-to call global-env)

(display (run-body program global-env))
(newline)
