; tak.scm - Takeuchi's function: nothing but calls. (Gabriel's benchmarks)

(define (tak x y z)
  (if (not (< y x))
      z
      (tak (tak (- x 1) y z)
           (tak (- y 1) z x)
           (tak (- z 1) x y))))

(display (map tak '(10 18 20 22 24) '(5 12 13 15 16) '(0 6 6 8 8)))
(newline)
