; queens.scm - all ways to put 8 queens on a board, and one way for 17.
;
; A solution is the list of the queens' columns, the last row first.

(define (safe? column row queens)
  (or (null? queens)
      (let ((other (car queens)))
        (and (not (= other column))
             (not (= (abs (- other column)) row))
             (safe? column (+ row 1) (cdr queens))))))

(define (columns size) ; (1 2 ... size)
  (let loop ((i size) (made '()))
    (if (= i 0) made (loop (- i 1) (cons i made)))))

; Calls (found solution) for every solution.
(define (each-solution size found)
  (define all (columns size))
  (define (place row queens)
    (if (= row size)
        (found queens)
        (for-each (lambda (column)
                    (if (safe? column 1 queens)
                        (place (+ row 1) (cons column queens))))
                  all)))
  (place 0 '()))

(define (count-solutions size)
  (let ((count 0))
    (each-solution size (lambda (queens) (set! count (+ count 1))))
    count))

; call/cc leaves the search at the first solution.
(define (first-solution size)
  (call/cc (lambda (return)
    (each-solution size return)
    #f)))

(define (show-board queens)
  (for-each (lambda (queen)
              (for-each (lambda (column)
                          (display (if (= column queen) " Q" " .")))
                        (columns (length queens)))
              (newline))
            (reverse queens)))

(display "8 queens: ") (display (count-solutions 8)) (display " solutions") (newline)
(define solution (first-solution 17))
(display "17 queens: ") (display solution) (newline)
(show-board solution)
