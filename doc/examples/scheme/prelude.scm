/* prelude.scm - what is said better in Scheme. builtins.c includes it, as a
   text. To C, a lone quote opens a character: so it says `x for a quoted x. */
PRELUDE(

(define (caar x) (car (car x)))
(define (cdar x) (cdr (car x)))
(define (cadar x) (cadr (car x)))
(define (caadr x) (car (cadr x)))
(define (cdadr x) (cdr (cadr x)))
(define (cadddr x) (caddr (cdr x)))

(define (map1 f l)
  (if (null? l) (quote ()) (cons (f (car l)) (map1 f (cdr l)))))

(define-macro (quasiquote x)
  (define (quasi x)
    (if (vector? x) (list list->vector (quasi (vector->list x)))
    (if (not (pair? x)) (list (quote quote) x)
    (if (eq? (car x) (quote unquote)) (cadr x)
    (if (and (pair? (car x)) (eq? (caar x) (quote unquote-splicing)))
        (list append2 (cadar x) (quasi (cdr x)))
        (list cons (quasi (car x)) (quasi (cdr x))))))))
  (quasi x))

(define-macro (let names . body)
  (if (symbol? names)
      `((let () (define (,names ,@(map1 car (car body))) ,@(cdr body)) ,names)
        ,@(map1 cadr (car body)))
      `((lambda ,(map1 car names) ,@body) ,@(map1 cadr names))))

(define-macro (let* bindings . body)
  (if (null? bindings)
      `(let () ,@body)
      `(let (,(car bindings)) (let* ,(cdr bindings) ,@body))))

(define-macro (letrec bindings . body)
  `(let () ,@(map1 (lambda (b) (cons `define b)) bindings) ,@body))

(define gensym
  (let ((made 0))
    (lambda () (set! made (+ made 1)) (string->symbol (string-append " " made)))))

(define-macro (when test . body) `(if ,test (begin ,@body)))
(define-macro (unless test . body) `(if ,test (begin) (begin ,@body)))

(define-macro (cond . clauses)
  (if (null? clauses) `(begin)
      (let ((test (caar clauses)) (body (cdar clauses)) (more `(cond ,@(cdr clauses))))
        (if (eq? test `else) `(begin ,@body)
        (if (null? body) `(or ,test ,more)
        (if (eq? (car body) `=>)
            (let ((t (gensym))) `(let ((,t ,test)) (if ,t (,(cadr body) ,t) ,more)))
            `(if ,test (begin ,@body) ,more)))))))

(define-macro (case key . clauses)
  (let ((k (gensym)))
    (define (clause c)
      (if (eq? (car c) `else) c `((,memv ,k (quote ,(car c))) ,@(cdr c))))
    `(let ((,k ,key)) (cond ,@(map1 clause clauses)))))

(define-macro (do bindings end . body)
  (let ((loop (gensym)))
    (define (step b) (if (null? (cddr b)) (car b) (caddr b)))
    `(let ,loop ,bindings
       (if ,(car end)
           (begin ,@(cdr end))
           (begin ,@body (,loop ,@(map1 step bindings)))))))

(define (apply f . arguments)
  (define (spread l)
    (if (null? (cdr l)) (car l) (cons (car l) (spread (cdr l)))))
  (apply2 f (spread arguments)))

(define (map f l . more)
  (define (go ls)
    (if (memv `() ls) `() (cons (apply2 f (map1 car ls)) (go (map1 cdr ls)))))
  (if (null? more) (map1 f l) (go (cons l more))))

(define (for-each f l . more)
  (define (go l) (when (pair? l) (f (car l)) (go (cdr l))))
  (if (null? more) (go l) (apply map f l more)))

(define (fold-left f x l)
  (if (null? l) x (fold-left f (f x (car l)) (cdr l))))

(define (fold-right f x l)
  (if (null? l) x (f (car l) (fold-right f x (cdr l)))))

(define (filter keep? l)
  (fold-right (lambda (x rest) (if (keep? x) (cons x rest) rest)) `() l))

(define (reverse l) (fold-left (lambda (made x) (cons x made)) `() l))
(define (append . ls) (fold-right append2 `() ls))
(define (list-ref l n) (if (= n 0) (car l) (list-ref (cdr l) (- n 1))))
(define char=? =)
(define char<? <)
(define string=? =)
(define string<? <)
(define memq memv)
(define assq assv)

(define (equal? a b)
  (cond ((pair? a) (and (pair? b) (equal? (car a) (car b)) (equal? (cdr a) (cdr b))))
        ((vector? a) (and (vector? b) (equal? (vector->list a) (vector->list b))))
        ((string? a) (and (string? b) (string=? a b)))
        (else (eqv? a b))))
(define (member x l)
  (and (pair? l) (if (equal? x (car l)) l (member x (cdr l)))))
(define (assoc x l)
  (and (pair? l) (if (equal? x (caar l)) (car l) (assoc x (cdr l)))))
(define (vector . l) (list->vector l))

(define (zero? n) (= n 0))
(define (positive? n) (> n 0))
(define (negative? n) (< n 0))
(define (modulo a b) (remainder (+ (remainder a b) b) b))
(define (even? n) (= (remainder n 2) 0))
(define (odd? n) (not (even? n)))
(define (abs n) (if (< n 0) (- n) n))
(define (min n . l) (fold-left (lambda (a b) (if (< b a) b a)) n l))
(define (max n . l) (fold-left (lambda (a b) (if (> b a) b a)) n l))

(define string string-append)
(define number->string string)
(define symbol->string string)
(define (string-copy s) (substring s 0))
(define (list->string l) (apply2 string l))
(define (string->list s)
  (do ((i (- (string-length s) 1) (- i 1))
       (l `() (cons (string-ref s i) l)))
      ((< i 0) l)))
)
