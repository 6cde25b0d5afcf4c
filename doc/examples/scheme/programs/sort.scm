; sort.scm - the same random numbers sorted twice: as a list by merging, as a
; vector in place.

(define seed 1)
(define (random n)
  (set! seed (remainder (* seed 48271) 2147483647))
  (remainder seed n))

(define (random-list length)
  (let loop ((left length) (made '()))
    (if (= left 0) made (loop (- left 1) (cons (random 1000000) made)))))

; ---- Merge sort

(define (merge a b)
  (cond ((null? a) b)
        ((null? b) a)
        ((< (car b) (car a)) (cons (car b) (merge a (cdr b))))
        (else (cons (car a) (merge (cdr a) b)))))

; Every other item of l, from the first or from the second one on.
(define (halves l)
  (let loop ((l l) (a '()) (b '()))
    (if (null? l) (cons a b) (loop (cdr l) b (cons (car l) a)))))

(define (merge-sort l)
  (if (or (null? l) (null? (cdr l)))
      l
      (let ((parts (halves l)))
        (merge (merge-sort (car parts)) (merge-sort (cdr parts))))))

; ---- Quicksort

(define (swap! v i j)
  (let ((kept (vector-ref v i)))
    (vector-set! v i (vector-ref v j))
    (vector-set! v j kept)))

; Moves what is smaller than the last item before it; returns its new index.
(define (partition! v low high)
  (let ((pivot (vector-ref v high)))
    (let loop ((i low) (store low))
      (cond ((= i high) (swap! v store high) store)
            ((< (vector-ref v i) pivot) (swap! v i store) (loop (+ i 1) (+ store 1)))
            (else (loop (+ i 1) store))))))

(define (quicksort! v)
  (let sort! ((low 0) (high (- (vector-length v) 1)))
    (when (< low high)
      (let ((middle (partition! v low high)))
        (sort! low (- middle 1))
        (sort! (+ middle 1) high))))
  v)

; ---- The test

(define (sorted? l)
  (or (null? l)
      (null? (cdr l))
      (and (<= (car l) (cadr l)) (sorted? (cdr l)))))

(define (run length)
  (let* ((numbers (random-list length))
         (merged (merge-sort numbers))
         (quick (vector->list (quicksort! (list->vector numbers)))))
    (display length)
    (display (if (sorted? merged) " sorted" " NOT SORTED"))
    (display (if (equal? merged quick) ", twice the same" ", AND DIFFERENT"))
    (display ", sum ") (display (fold-left + 0 merged))
    (display ", median ") (display (list-ref merged (quotient length 2)))
    (newline)))

(for-each run '(1 2 10 1000 20000))
