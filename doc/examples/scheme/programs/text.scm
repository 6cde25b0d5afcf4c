; text.scm - builds a text of some megabytes from pieces, then reads all of it.

(define seed 42)
(define (random n)
  (set! seed (remainder (+ (* seed 16807) 12345) 2147483647))
  (remainder seed n))

(define syllables (vector "ba" "cor" "du" "fen" "gil" "ho" "ka" "lu" "mer" "ni" "po" "ra" "sol" "ti" "vu" "zan"))
(define (syllable) (vector-ref syllables (random (vector-length syllables))))

; Words and sentences are new strings; only the text itself is extended.
(define (word)
  (let loop ((left (+ 1 (random 3))) (made ""))
    (if (= left 0) made (loop (- left 1) (string-append made (syllable))))))

(define (capitalize s)
  (string-append (string (char-upcase (string-ref s 0))) (substring s 1)))

(define (sentence)
  (let loop ((left (+ 3 (random 9))) (made (capitalize (word))))
    (if (= left 0)
        (string-append made "." (string #\newline))
        (loop (- left 1) (string-append made " " (word))))))

(define (build length)
  (let ((text (string-copy "")))
    (do () ((>= (string-length text) length) text)
      (string-append! text (sentence)))))

; Of every n-th character: to look at all of them takes longer than to write them.
(define (checksum text n)
  (let ((end (string-length text)))
    (do ((i 0 (+ i n))
         (sum 0 (remainder (+ (* sum 31) (char->integer (string-ref text i))) 1000003)))
        ((>= i end) sum))))

(define text (build 1500000))
(display "starts: ") (write (substring text 0 60)) (newline)
(display "length: ") (display (string-length text)) (newline)
(display "checksum: ") (display (checksum text 11)) (newline)
