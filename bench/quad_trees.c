/* quad_trees.c - black and white images as region quad trees, after the image
 * benchmarks of Olden: a square of one colour is a leaf, any other has four
 * quarters. Discs are drawn, each a new tree, and combined with pictures; each
 * combination gives a new tree, and the old picture and the disc are dropped.
 *
 * Trees share nothing, so that malloc knows what to free. Each combination is
 * made both ways: a union and an intersection have as many black pixels as
 * what they are made of.
 */
#include "program.h"

enum { SIDE = 1024, PICTURES = 48, STEPS = 1500, SMALLEST_RADIUS = 8, LARGEST_RADIUS = 256, QUARTERS = 4 };

struct quad {
    struct quad *quarters[QUARTERS]; /* all NULL in a leaf */
    bool black;                      /* of a leaf */
};

struct square {
    int x, y, side;
};

struct disc {
    int x, y, radius;
};

static struct quad *pictures[PICTURES];

static bool is_leaf(const struct quad *quad)
{
    return !quad->quarters[0];
}

static struct quad *new_leaf(bool black)
{
    struct quad *leaf = bench_alloc(sizeof *leaf);
    leaf->black = black;
    return leaf;
}

static void drop(struct quad *quad)
{
    if (!BENCH_FREES)
        return;
    for (int i = 0; i < QUARTERS && quad->quarters[i]; i++)
        drop(quad->quarters[i]);
    bench_free(quad);
}

/* Turns four leaves of one colour into one, and leaves all others as they are. */
static void simplify(struct quad *quad)
{
    bool black = quad->quarters[0]->black;
    for (int i = 0; i < QUARTERS; i++)
        if (!is_leaf(quad->quarters[i]) || quad->quarters[i]->black != black)
            return;
    for (int i = 0; i < QUARTERS; i++) {
        bench_free(quad->quarters[i]);
        quad->quarters[i] = NULL;
    }
    quad->black = black;
}

static struct square quarter_of(struct square square, int number)
{
    int half = square.side / 2;
    return (struct square){square.x + half * (number & 1), square.y + half * (number >> 1), half};
}

static bool in_disc(struct disc disc, int x, int y)
{
    return (x - disc.x) * (x - disc.x) + (y - disc.y) * (y - disc.y) <= disc.radius * disc.radius;
}

static int nearest(int from, int least, int most)
{
    return from < least ? least : from > most ? most : from;
}

static bool outside(struct disc disc, struct square square)
{
    return !in_disc(disc, nearest(disc.x, square.x, square.x + square.side - 1),
                    nearest(disc.y, square.y, square.y + square.side - 1));
}

static bool inside(struct disc disc, struct square square)
{
    int right = square.x + square.side - 1;
    int bottom = square.y + square.side - 1;
    return in_disc(disc, square.x, square.y) && in_disc(disc, right, square.y) && in_disc(disc, square.x, bottom) &&
           in_disc(disc, right, bottom);
}

static struct quad *draw(struct disc disc, struct square square)
{
    if (outside(disc, square))
        return new_leaf(false);
    if (inside(disc, square))
        return new_leaf(true);
    struct quad *quad = bench_alloc(sizeof *quad);
    for (int i = 0; i < QUARTERS; i++)
        quad->quarters[i] = draw(disc, quarter_of(square, i));
    return quad;
}

static struct quad *copy(const struct quad *quad)
{
    if (is_leaf(quad))
        return new_leaf(quad->black);
    struct quad *result = bench_alloc(sizeof *result);
    for (int i = 0; i < QUARTERS; i++)
        result->quarters[i] = copy(quad->quarters[i]);
    return result;
}

/* The union if `colour` is black, the intersection if it is white: where either
 * has that colour, so has the result. */
static struct quad *combine(const struct quad *a, const struct quad *b, bool colour)
{
    if (is_leaf(a))
        return a->black == colour ? new_leaf(colour) : copy(b);
    if (is_leaf(b))
        return b->black == colour ? new_leaf(colour) : copy(a);
    struct quad *result = bench_alloc(sizeof *result);
    for (int i = 0; i < QUARTERS; i++)
        result->quarters[i] = combine(a->quarters[i], b->quarters[i], colour);
    simplify(result);
    return result;
}

static uint64_t black_pixels(const struct quad *quad, uint64_t pixels)
{
    if (is_leaf(quad))
        return quad->black ? pixels : 0;
    uint64_t black = 0;
    for (int i = 0; i < QUARTERS; i++)
        black += black_pixels(quad->quarters[i], pixels / QUARTERS);
    return black;
}

/* Returns whether no black pixel was lost or won. */
static bool step(struct square all, bool keep_union)
{
    struct disc disc = {
        .x = (int)bench_random_below(SIDE),
        .y = (int)bench_random_below(SIDE),
        .radius = SMALLEST_RADIUS + (int)bench_random_below(LARGEST_RADIUS - SMALLEST_RADIUS),
    };
    struct quad **picture = &pictures[bench_random_below(PICTURES)];
    struct quad *old = *picture;
    struct quad *drawn = draw(disc, all);
    struct quad *both = combine(old, drawn, true);
    struct quad *shared = combine(old, drawn, false);

    uint64_t pixels = SIDE * SIDE;
    bool correct = black_pixels(both, pixels) + black_pixels(shared, pixels) ==
                   black_pixels(old, pixels) + black_pixels(drawn, pixels);
    *picture = keep_union ? both : shared;
    drop(keep_union ? shared : both);
    drop(drawn);
    drop(old);
    return correct;
}

/* A hash of the shape and the colours. */
static uint64_t hash_of(const struct quad *quad)
{
    uint64_t hash = is_leaf(quad) ? 2 + quad->black : 1;
    for (int i = 0; i < QUARTERS && quad->quarters[i]; i++)
        hash = hash * UINT64_C(1099511628211) + hash_of(quad->quarters[i]);
    return hash;
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    size_t steps = bench_scaled(STEPS);
    struct square all = {0, 0, SIDE};

    for (size_t i = 0; i < PICTURES; i++)
        pictures[i] = new_leaf(false);
    bool correct = true;
    for (size_t i = 0; i < steps; i++)
        correct &= step(all, bench_random_below(8) > 0); /* mostly unions, or the pictures would stay white */

    uint64_t checksum = 0;
    for (size_t i = 0; i < PICTURES; i++)
        checksum = checksum * 31 + hash_of(pictures[i]);
    for (size_t i = 0; i < PICTURES; i++)
        drop(pictures[i]);
    return bench_finish(correct, checksum);
}
