; memory.scm - what happens to the dead: guardians, ports, symbols.
;
; Where a stray word may keep one of them alive, it asks for most.

(define (count-from from below do)
  (if (< from below)
      (begin (do from) (count-from (+ from 1) below do))))

(define (most? n of) (>= n (- of (quotient of 10))))
(define (show . items) (for-each (lambda (x) (write x) (display " ")) items) (newline))

; ---- A guardian hands back what nobody else knows

(define guardian (make-guardian))
(define kept (list 'kept))
(guardian kept)
(count-from 0 100 (lambda (i) (guardian (list 'dropped i))))
(collect)

(define returned 0)
(define (take-all)
  (let ((dead (guardian)))
    (if dead
        (begin
          (if (eq? (car dead) 'dropped) (set! returned (+ returned 1)))
          (take-all)))))
(take-all)
(show guardian (most? returned 100) (car kept) (guardian))

; Several guardians may have an object, and objects may lead to themselves

(define other (make-guardian))
(define (guard-circle)
  (let ((circle (list 'circle)))
    (set-cdr! circle circle)
    (guardian circle)
    (other circle)))
(count-from 0 100 (lambda (i) (guard-circle)))
(collect)
(define (count-dead guardian n) (if (guardian) (count-dead guardian (+ n 1)) n))
(show (most? (count-dead guardian 0) 100) (most? (count-dead other 0) 100))

; ---- A port is closed by a finalizer, if not by the program

(define (first-line name) (read-line (open-input-file name)))
(define file (program-file))
(show (first-line file))
(count-from 0 100 (lambda (i) (first-line file)))
(collect)
(show (< (open-ports) 20))
(define port (open-input-file file))
(close-port port)

; ---- A symbol that means nothing is forgotten

(define before (symbol-count))
(count-from 0 1000 (lambda (i)
  (string->symbol (string-append "symbol-" i))))
(collect)
(show (< (symbol-count) (+ before 200)))
(eval (list 'define (string->symbol (string-append "a" "b")) 42))
(collect)
(show (eval (string->symbol (string-append "a" "b"))))
