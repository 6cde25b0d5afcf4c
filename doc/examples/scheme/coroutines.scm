; coroutines.scm - generators, and what becomes of those that nobody resumes.

(define (show . items) (for-each (lambda (x) (write x) (display " ")) items) (newline))

; ---- The leaves of a tree, one by one

(define (walk tree)
  (if (pair? tree)
      (begin (walk (car tree)) (walk (cdr tree)))
      (if (not (null? tree)) (yield tree))))
(define (leaves tree) (make-coroutine (lambda (ignored) (walk tree) 'end)))

(define (same-fringe? a b)
  (define left (leaves a))
  (define right (leaves b))
  (define (compare)
    (let ((x (resume left 'next)) (y (resume right 'next)))
      (if (not (eqv? x y)) #f (if (eq? x 'end) #t (compare)))))
  (compare))
(show (same-fringe? '(1 (2 3) ((4)) 5) '((1 2) (3 4 (5)))) (same-fringe? '(1 2 3) '(1 (3 2))))

; ---- Values go both ways

(define sums
  (make-coroutine
    (lambda (x)
      (define (add sum x) (let ((next (yield (+ sum x)))) (if next (add (+ sum x) next) (list 'sum sum x))))
      (add 0 x))))
(show (resume sums 1) (resume sums 20) (resume sums 300) (resume sums #f) (coroutine-over? sums))

; ---- A pipe of them, each the other's caller, with garbage alongside

(define (numbers-from n) (make-coroutine (lambda (ignored) (let loop ((i n)) (yield i) (loop (+ i 1))))))
(define (without divisor source)
  (make-coroutine
    (lambda (ignored)
      (let loop ()
        (let ((x (resume source 'next)))
          (if (not (= 0 (remainder x divisor))) (yield x))
          (loop))))))
(define (primes count source)
  (if (= count 0)
      '()
      (let ((prime (resume source 'next)))
        (cons prime (primes (- count 1) (without prime source))))))
(show (primes 30 (numbers-from 2)))

; ---- Those that nobody resumes any more are collected, with all that waits in them

(define guardian (make-guardian))
(define (forget n)
  (if (> n 0)
      (let ((held (list 'held n)))
        (resume (make-coroutine (lambda (ignored) (yield 'waiting) held)) 'start)
        (guardian held)
        (forget (- n 1)))))
(forget 200)
(collect)
(define collected 0)
(define (take-all) (if (guardian) (begin (set! collected (+ collected 1)) (take-all))))
(take-all)
(show (> collected 150))
