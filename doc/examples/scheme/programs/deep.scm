; deep.scm - recursion 100000 calls deep, again and again: the stack is made of
; frames in the heap, and all of them are garbage when the recursion returns.

(define (count n)
  (if (= n 0) 0 (+ 1 (count (- n 1)))))

(define (build n) ; (n ... 2 1), from the end
  (if (= n 0) '() (cons n (build (- n 1)))))

(define (repeat times f)
  (let loop ((left times) (sum 0))
    (if (= left 0) sum (loop (- left 1) (+ sum (f))))))

(display "counted: ") (display (repeat 20 (lambda () (count 100000)))) (newline)
(display "built: ") (display (repeat 10 (lambda () (length (build 100000))))) (newline)
