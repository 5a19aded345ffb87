#ifndef AE_BENCHMARK_MATH_ANSWER_H
#define AE_BENCHMARK_MATH_ANSWER_H
#include <stdbool.h>

/* Answers to problems of mathematics, written in LaTeX or as plain text.
 *
 * The rules are those of lm-eval's tasks minerva_math and hendrycks_math together (Lewkowycz et al. 2022, appendix D;
 * Hendrycks et al. 2021), with the differences marked *. A model's answer and the reference are treated alike.
 *
 * The answer in a text: what follows the first "The final answer is", up to the character before " I hope it is correct"
 * or the end of the line; else what the last \boxed{...} or \fbox{...} holds ("\boxed 5" too); else all of it. */
char *ae_math_answer(const char *text);

/* Its normal form. Each line is one rule:
 *
 *   x = 5, f(x) = 5           5                   after the last "=" outside brackets, of one that is no list *
 *   so $5$ dollars            5                   what the first pair of $ holds; other $ go
 *   \textbf{A}, \text{A}      A                   likewise \mbox, \mathrm, \mathbf, \textit, \boxed, \overline of no digit *
 *   5\text{ cm}^2             5                   a text that begins with a blank is a unit
 *   5 cm, 5cm, 90^\circ       5                   units, also 5 \%, \$5, and words such as "points" or "ways"
 *   an ellipse                ellipse             articles
 *   \left( x \right)          (x)                 spaces of all kinds, \left, \right, \displaystyle
 *   \dfrac12, \tfrac{1}{2}    \frac{1}{2}         also \frac1{72} and \frac{72}1
 *   \sqrt3, \sqrt[3]8         \sqrt{3}, \sqrt[3]{8}
 *   10,000 and 10{,}000       10000               commas between groups of three digits, where all of it is one number
 *   .5, 5., {5}               0.5, 5, 5
 *   1,\text{and}2; 1 or 2 *   1,2
 *   \leq, \geq, \neq          \le, \ge, \ne *     \times and * become \cdot *
 *
 * The caller frees both; NULL: no memory. */
char *ae_math_normal(const char *answer);

/* Whether two answers are equal: their normal forms are the same text, or
 *
 *   (1/2, 3) = (0.5, 3.0)     tuples and intervals with the same brackets, part by part; lists without brackets in order
 *   \{2, 1\} = \{1, 2\}       sets in any order
 *   [0,1)\cup(2,3]            unions part by part
 *   \frac{1}{2} = 0.5         expressions of numbers, + - \cdot / ^ !, \frac, \sqrt, \pi, |x|, logarithms and sines by
 *                             their values, to 1e-12; 2\frac{1}{2} is 2.5 *
 *   1+x = x+1                 with variables by their values at several points, where lm-eval asks sympy. A letter is a
 *                             variable; three letters or more in a row are a word, and words are texts *
 *
 * False also when there is no memory. */
bool ae_math_equal(const char *a, const char *b);

/* ae_math_equal of the answers of two texts. */
bool ae_math_same(const char *text, const char *reference);

#endif
