; tour.scm - what this Scheme knows, by example. Run it, and compare the output
; with tour.expected.

(define (show . things)
  (for-each (lambda (thing) (write thing) (display " ")) things)
  (newline))

; ---- Data

(show 42 -7 1.5 1e100 #t #f 'symbol "a \"string\"\n" #\a '() '(1 (2 . 3)) #(1 "two" 3))
(show (+ 1 2 3) (- 5) (* 1.5 2) (/ 6 3) (/ 7 2))
(show (quotient -7 2) (remainder -7 2) (modulo -7 2) (max 3 9 4) (abs -5))
(show (* 4611686018427387903 2)) ; what does not fit 63 bits becomes real
(show (eq? 'a 'a) (eqv? 1.5 1.5) (equal? '(1 #("x")) '(1 #("x"))))
(show (string->number "12") (string->number "1x") (number->string 1.25))
(show `(1 ,(+ 1 1) ,@(list 3 4) . 5) `#(a ,(* 2 3)) '`(b ,c))

; ---- Control

(define (classify n)
  (cond ((assv n '((0 . zero) (1 . one))) => cdr)
        ((negative? n) 'negative)
        (else (case (remainder n 10)
                ((2 4 6 8) 'ends-even)
                ((1 3 5 7 9) 'ends-odd)
                (else 'round)))))
(show (map classify '(0 1 -5 14 17 20)))

(show (and 1 2) (and) (or #f 3) (or) (when #t 1 2) (unless #t 1))
(show (let* ((a 1) (b (+ a 1))) (list a b)))
(show (letrec ((even? (lambda (n) (or (= n 0) (odd? (- n 1)))))
               (odd? (lambda (n) (and (> n 0) (even? (- n 1))))))
        (even? 1000)))
(show (do ((i 0 (+ i 1)) (squares '() (cons (* i i) squares))) ((= i 5) (reverse squares))))
(show (let loop ((i 0)) (if (< i 1000000) (loop (+ i 1)) i))) ; a loop, not a recursion

(define (depth n) (if (= n 0) 0 (+ 1 (depth (- n 1)))))
(show (depth 200000)) ; a recursion as deep as it likes

; ---- Procedures

(define (counter)
  (define n 0)
  (lambda () (set! n (+ n 1)) n))
(define c (counter))
(define d (counter))
(c) (c)
(show (c) (d))

(define (rest-of first . rest) rest)
(show (rest-of 1) (rest-of 1 2 3) (apply rest-of '(1 2)) (apply + 1 2 '(3 4)))
(show (map + '(1 2 3) '(10 20 30)) (filter odd? '(1 2 3 4 5)) (fold-left - 0 '(1 2)) (fold-right - 0 '(1 2)))
(show (eval '(let ((x 6)) (* x 7))) car counter (lambda (x) x))

; ---- Continuations

(define (find-first wanted? items)
  (call/cc (lambda (return)
    (for-each (lambda (item) (if (wanted? item) (return item))) items)
    'none)))
(show (find-first even? '(1 3 4 5)) (find-first even? '(1 3)))

; A procedure that gives the leaves of a tree one by one: two continuations
; take turns.
(define (leaves tree)
  (define caller #f)
  (define (resume)
    (let walk ((tree tree))
      (if (pair? tree)
          (for-each walk tree)
          (call/cc (lambda (rest)
            (set! resume (lambda () (rest #f)))
            (caller tree)))))
    (caller 'end))
  (lambda () (call/cc (lambda (k) (set! caller k) (resume)))))
(define next (leaves '(1 (2 (3)) 4)))
(define first (next))
(define second (next))
(define third (next))
(show first second third (next) (next))

; Returning to the middle of a call a second time leaves the first one alone.
(define again #f)
(define results '())
(define (note) (list 'a (call/cc (lambda (k) (set! again k) 'b)) 'c))
(set! results (cons (note) results))
(if (< (length results) 3) (again (length results)))
(show results)

; ---- Strings, vectors, macros

(define text (string-append "con" "catenate"))
(string-append! text #\space 12 " " 'times) ; grows the string itself
(show text (string-length text) (substring text 3 6) (string->symbol "a b") (string->list "abc"))
(show (string<? "abc" "abd") (string=? "a" "b") (char-upcase #\q) (list->string '(#\o #\k)))

(define v (make-vector 3 'x))
(vector-set! v 1 "y")
(show v (vector-length v) (vector->list v) (list->vector (map symbol? (vector->list v))))

(define-macro (swap! a b)
  (let ((kept (gensym)))
    `(let ((,kept ,a)) (set! ,a ,b) (set! ,b ,kept))))
(define x 1)
(define y 2)
(swap! x y)
(show x y)
