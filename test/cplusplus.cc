// cplusplus.cc - broom.hpp with the standard library's containers, and exceptions
// through the collector. Ends with status 0 if all is as it should be.
#include <broom/broom.hpp>
#include <broom/runtime.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <forward_list>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <stack>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            std::printf("%s:%d: %s\n", __FILE__, __LINE__, #condition);                                                \
            std::exit(1);                                                                                              \
        }                                                                                                              \
    } while (0)

template <class T> using vector = std::vector<T, broom::allocator<T>>;
template <class T> using list = std::list<T, broom::allocator<T>>;
template <class T> using deque = std::deque<T, broom::allocator<T>>;
template <class T> using set = std::set<T, std::less<T>, broom::allocator<T>>;
template <class K, class V> using map = std::map<K, V, std::less<K>, broom::allocator<std::pair<const K, V>>>;
template <class K, class V>
using hash_map =
    std::unordered_map<K, V, std::hash<K>, std::equal_to<K>, broom::allocator<std::pair<const K, V>>>;
using string = std::basic_string<char, std::char_traits<char>, broom::allocator<char>>;

// ---- Containers ---------------------------------------------------------------------

static void collect_and_overwrite()
{
    gc_collect();
    for (int i = 0; i < 20000; i++)
        std::memset(gc_malloc(16 + static_cast<std::size_t>(i) % 20 * 16), 0xa5, 16);
}

struct number {
    explicit number(long value) : value(value) {}
    long value;
};

template <class Container> static void check_sum(const Container &container, long count)
{
    long sum = 0;
    for (const number *element : container)
        sum += element->value;
    CHECK(sum == count * (count - 1) / 2);
}

template <class Container> static void check_sequence()
{
    Container container;
    for (long i = 0; i < 1000; i++)
        container.push_back(broom::gc_new<number>(i));
    collect_and_overwrite();
    check_sum(container, 1000);
    Container copy = container, moved = std::move(container);
    container = Container();
    collect_and_overwrite();
    check_sum(copy, 1000);
    check_sum(moved, 1000);
}

// The others, each with a thousand numbers that nothing else leads to.
static void check_others()
{
    using pair_allocator = broom::allocator<std::pair<const long, number *>>;
    std::forward_list<number *, broom::allocator<number *>> chain;
    std::unordered_set<number *, std::hash<number *>, std::equal_to<number *>, broom::allocator<number *>> numbers;
    std::unordered_multimap<long, number *, std::hash<long>, std::equal_to<long>, pair_allocator> by_rest;
    std::multimap<long, number *, std::less<long>, pair_allocator> sorted;
    std::multiset<long, std::less<long>, broom::allocator<long>> keys;
    std::priority_queue<long, vector<long>> first;
    std::stack<number *, deque<number *>> stack;
    vector<bool> flags;

    for (long i = 0; i < 1000; i++) {
        chain.push_front(broom::gc_new<number>(i));
        numbers.insert(broom::gc_new<number>(i));
        by_rest.emplace(i % 100, broom::gc_new<number>(i));
        sorted.emplace(i % 7, broom::gc_new<number>(i));
        keys.insert(i / 2);
        first.push(i);
        stack.push(broom::gc_new<number>(i));
        flags.push_back(i % 3 == 0);
    }
    collect_and_overwrite();
    check_sum(chain, 1000);
    check_sum(numbers, 1000);
    for (const auto &entry : by_rest)
        CHECK(entry.second->value % 100 == entry.first);
    for (const auto &entry : sorted)
        CHECK(entry.second->value % 7 == entry.first);
    for (long i = 999; i >= 0; i--) {
        CHECK(keys.count(i / 2) == 2 && first.top() == i && stack.top()->value == i);
        CHECK(flags[static_cast<std::size_t>(i)] == (i % 3 == 0));
        first.pop();
        stack.pop();
    }
}

static void check_in_threads()
{
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++)
        threads.emplace_back(check_others);
    for (std::thread &thread : threads)
        thread.join();
}

static void check_maps()
{
    map<long, vector<string>> names;
    hash_map<long, number *> numbers;
    set<long> keys;
    for (long i = 0; i < 500; i++) {
        for (int j = 0; j < 5; j++)
            names[i].push_back(string("a string that is too long to lie in the string itself ") + std::to_string(i + j).c_str());
        numbers.emplace(i, broom::gc_new<number>(i * 3));
        keys.insert(i);
    }
    collect_and_overwrite();
    for (long i = 0; i < 500; i++) {
        CHECK(names.at(i).size() == 5);
        CHECK(names.at(i)[4] ==
              string("a string that is too long to lie in the string itself ") + std::to_string(i + 4).c_str());
        CHECK(numbers.at(i)->value == i * 3);
        CHECK(keys.count(i) == 1);
    }
    names.erase(3);
    numbers.rehash(5000);
    collect_and_overwrite();
    CHECK(names.size() == 499 && numbers.at(499)->value == 499 * 3);
}

// A container in the heap that nobody destroys goes with all that it holds.
static void check_dropped()
{
    gc_stats before, after;
    gc_collect();
    gc_get_stats(&before, sizeof before);
    for (int i = 0; i < 200; i++) {
        auto *dropped = broom::gc_new<vector<vector<long>>>();
        for (int j = 0; j < 100; j++)
            dropped->push_back(vector<long>(100, j));
    }
    gc_collect();
    gc_get_stats(&after, sizeof after);
    CHECK(after.live_bytes < before.live_bytes + (4 << 20)); // of sixteen
}

struct alignas(64) aligned {
    long value = 7;
};

static void check_alignment()
{
    vector<aligned> many(100);
    for (const aligned &one : many)
        CHECK(reinterpret_cast<std::uintptr_t>(&one) % 64 == 0 && one.value == 7);
    CHECK(reinterpret_cast<std::uintptr_t>(broom::gc_new<aligned>()) % 64 == 0);
}

// ---- Cleanup ---------------------------------------------------------------------------

static int destroyed, open_files;

struct padding {
    virtual ~padding() = default;
    long words[3] = {1, 2, 3};
};

// The base that has the finalizer is not at the start of the object.
struct file : padding, broom::cleanup {
    explicit file(int number) : number(number), text("the text of a file that is not short") { open_files++; }
    ~file() override
    {
        CHECK(text == "the text of a file that is not short" && number >= 0);
        destroyed++;
        open_files--;
    }
    using broom::cleanup::operator new;
    using broom::cleanup::operator delete;
    int number;
    string text;
};

struct refuses : broom::cleanup {
    refuses() { throw std::runtime_error("no"); }
    ~refuses() override { destroyed += 1000; }
};

__attribute__((noinline)) static void drop_files(int count)
{
    for (int i = 0; i < count; i++)
        new file(i);
}

// What deletes its children, at the end of the program: which are to be finalized, too.
struct folder : broom::cleanup {
    explicit folder(int number) : child(new file(number)) {}
    ~folder() override
    {
        delete child;
        for (int i = 0; i < 10; i++) // in its place
            std::memset(gc_malloc(sizeof(file)), 0x55, sizeof(file));
    }
    file *child;
};

// What lies in an object may point at it: short texts, and the heads of lists and trees.
struct holder : broom::cleanup {
    explicit holder(long count) : text("short"), name("short")
    {
        for (long i = 0; i < count; i++) {
            numbers.push_back(i);
            queue.push_back(i);
            entries.push_back(i);
            keys.insert(i);
            names[i] = "a string that is too long to lie in the string itself";
            values[i] = i;
        }
        sum = count;
    }
    ~holder() override
    {
        CHECK(text == "short" && name == "short");
        CHECK(numbers.size() == static_cast<std::size_t>(sum) && entries.size() == numbers.size());
        for (long i = 0; i < sum; i++)
            CHECK(keys.count(i) == 1 && names.at(i).size() == 53 && values.at(i) == i);
        destroyed++;
    }
    string text;
    std::string name;
    vector<long> numbers;
    deque<long> queue;
    list<long> entries;
    set<long> keys;
    map<long, string> names;
    hash_map<long, long> values;
    long sum;
};

__attribute__((noinline)) static void drop_holders(int count)
{
    for (int i = 0; i < count; i++)
        new holder(i % 4);
}

static void check_cleanup_of_containers()
{
    int before = destroyed;

    drop_holders(1000);
    gc_collect_and_finalize(nullptr);
    CHECK(destroyed >= before + 950);
}

// The destructor of the whole sees to its members'.
static int inner, outer;

struct part : broom::cleanup {
    ~part() override { inner++; }
    long word = 1;
};

struct whole : broom::cleanup {
    ~whole() override
    {
        CHECK(first.word == 1 && second.word == 1);
        outer++;
    }
    part first, second;
    std::optional<part> third = part();
};

struct plain {
    part first, second;
};

__attribute__((noinline)) static void drop_wholes(int count)
{
    for (int i = 0; i < count; i++) {
        if (i % 2 == 0)
            (new whole)->third.reset();
        else
            (void)broom::gc_new<whole>();
        (void)broom::gc_new<plain>();
    }
}

static void check_cleanup_of_members()
{
    gc_collect_and_finalize(nullptr);
    inner = outer = 0;
    drop_wholes(400);
    gc_collect_and_finalize(nullptr);
    CHECK(outer >= 380 && outer <= 400);
    // 600 are what `third` was made from, and half of those themselves.
    CHECK(inner >= 600 + 2 * outer && inner <= 600 + 3 * outer);
    auto *deleted = new whole;
    inner = outer = 0;
    delete deleted;
    CHECK(outer == 1 && inner == 3);
}

static int ended_in_arena;

struct in_arena : broom::cleanup {
    ~in_arena() override { ended_in_arena++; }
};

// In an arena nobody runs it.
static void check_cleanup_in_arena()
{
    gc_arena *arena = gc_arena_new();

    for (int i = 0; i < 100; i++) {
        for (int j = 0; j < 100; j++)
            new (gc_arena_malloc(arena, sizeof(in_arena))) in_arena;
        gc_arena_release(arena);
    }
    for (int i = 0; i < 3; i++)
        gc_collect_and_finalize(nullptr);
    CHECK(ended_in_arena == 0);
}

static int orders_kept;

struct log : broom::ordered_cleanup {
    explicit log(log *next) : next(next) {}
    log(const log &other) = default;
    ~log() override
    {
        CHECK(next == nullptr || !next->closed);
        closed = true;
        orders_kept++;
    }
    log *next;
    bool closed = false;
};

__attribute__((noinline)) static void drop_logs(int count)
{
    for (int i = 0; i < count; i++) {
        log *child = new log(nullptr), *parent = new log(child);
        new log(*parent);
    }
}

static void check_ordered_cleanup()
{
    drop_logs(300);
    for (int i = 0; i < 3; i++)
        gc_collect_and_finalize(nullptr);
    CHECK(orders_kept >= 850);
}

// ---- Without exceptions, and arrays ---------------------------------------------------

struct alignas(64) aligned_object : broom::object {
    long word = 5;
};

struct alignas(64) aligned_part : part {
};

template <class T> static void check_aligned(const T *made)
{
    CHECK(reinterpret_cast<std::uintptr_t>(made) % 64 == 0);
}

static void check_new()
{
    for (int i = 0; i < 100; i++) {
        auto *array = new aligned_object[3];
        check_aligned(array);
        CHECK(array[2].word == 5);
        delete[] array;
        check_aligned(new (std::nothrow) aligned_object);
        check_aligned(new (std::nothrow) aligned_object[3]);
        check_aligned(new aligned_part);
        check_aligned(new (std::nothrow) aligned_part);
        delete new (std::nothrow) part;
    }
}

// ---- Tagged words ------------------------------------------------------------------------

template <class Words> static long dead_behind(Words &words)
{
    gc_weak_ref *reference[200];

    for (auto &each : reference) {
        auto *made = broom::gc_new<number>(7);
        words.push_back(reinterpret_cast<std::uintptr_t>(made) | 1);
        each = gc_weak_ref_new(made, GC_CLEAR_EARLY);
    }
    collect_and_overwrite();
    long dead = 0;
    for (auto &each : reference)
        dead += gc_weak_ref_get(each) == nullptr;
    return dead;
}

static void check_tagged()
{
    vector<std::uintptr_t> words;
    deque<std::uintptr_t> more;
    std::vector<std::uintptr_t, broom::atomic_allocator<std::uintptr_t>> numbers;
    std::deque<std::uintptr_t, broom::atomic_allocator<std::uintptr_t>> queue;
    std::list<long, broom::atomic_allocator<long>> list(100, 3);

    static_assert(broom::is_atomic<double>::value && broom::is_atomic<int>::value && broom::is_atomic<char>::value);
    static_assert(!broom::is_atomic<std::uintptr_t>::value && !broom::is_atomic<void *>::value);
    CHECK(dead_behind(words) == 0);
    CHECK(dead_behind(more) == 0);
    CHECK(dead_behind(numbers) >= 180);
    CHECK(dead_behind(queue) >= 180);
    collect_and_overwrite();
    for (long each : list)
        CHECK(each == 3);
}

static void check_cleanup_of_all()
{
    vector<folder *> kept;
    int before = destroyed;

    for (int i = 0; i < 100; i++)
        kept.push_back(new folder(i));
    gc_finalize_all(nullptr);
    CHECK(destroyed >= before + 100 && open_files == 0);
}

static void check_cleanup()
{
    drop_files(1000);
    for (int i = 0; i < 5; i++)
        gc_collect_and_finalize(nullptr);
    CHECK(destroyed >= 950 && open_files == 1000 - destroyed);
    int before = destroyed;
    file *kept = new file(1);
    delete kept;
    CHECK(destroyed == before + 1);
    {
        file local(2);
        CHECK(local.number == 2);
    }
    CHECK(destroyed == before + 2);
    try {
        new refuses();
        CHECK(false);
    } catch (const std::runtime_error &) {
    }
    drop_files(10);
    file *made = broom::gc_new<file>(3);
    gc_collect_and_finalize(nullptr);
    CHECK(made->number == 3 && destroyed < 1000 + 20);
}

// ---- Exceptions -------------------------------------------------------------------------

struct out_of_memory {};

static bool throws(std::size_t, void *)
{
    throw out_of_memory();
}

static int thrown;

static void throw_out(void *, void *)
{
    thrown++;
    throw out_of_memory();
}

__attribute__((noinline)) static void drop_throwing(gc_finalizer_queue *queue, int count)
{
    for (int i = 0; i < count; i++)
        CHECK(gc_set_finalizer_in(queue, gc_malloc(32), throw_out, nullptr, GC_FINALIZE_ORDERED) == 0);
}

// One that throws is done with, and the others are there still.
static void check_throwing_finalizers()
{
    gc_finalizer_queue *queue = gc_finalizer_queue_new(GC_FINALIZE_ON_DEMAND);
    int caught = 0;

    drop_throwing(queue, 100);
    for (bool more = true; more;) {
        try {
            more = gc_collect_and_finalize(queue) != 0;
        } catch (const out_of_memory &) {
            caught++;
        }
    }
    CHECK(caught == thrown && caught >= 95 && caught <= 100);

    caught = thrown = 0;
    drop_throwing(nullptr, 100); // while something is allocated
    for (int i = 0; i < 100000 && caught < 90; i++) {
        try {
            (void)!gc_malloc(1000);
        } catch (const out_of_memory &) {
            caught++;
        }
    }
    CHECK(caught == thrown && caught >= 90);
    for (bool more = true; more;) {
        try {
            more = gc_finalize_all(nullptr) != 0;
        } catch (const out_of_memory &) {
            caught++;
        }
    }
    CHECK(caught == 100 && thrown == 100);
}

static void check_exceptions()
{
    volatile std::size_t most = SIZE_MAX / 4;
    for (int i = 0; i < 10; i++) {
        bool caught = false;
        gc_set_oom_handler(throws, nullptr);
        try {
            (void)!gc_malloc(most);
        } catch (const out_of_memory &) {
            caught = true;
        }
        CHECK(caught);
    }
    gc_set_oom_handler(nullptr, nullptr);
    try {
        vector<char> huge(SIZE_MAX / 4);
        CHECK(false);
    } catch (const std::bad_alloc &) {
    }
    try {
        CHECK(broom::allocator<long>().allocate(SIZE_MAX / 4) == nullptr);
    } catch (const std::bad_alloc &) {
    }
}

int main()
{
    check_sequence<vector<number *>>();
    check_sequence<list<number *>>();
    check_sequence<deque<number *>>();
    check_maps();
    check_others();
    check_in_threads();
    check_dropped();
    check_alignment();
    check_cleanup();
    check_cleanup_of_containers();
    check_cleanup_of_members();
    check_cleanup_in_arena();
    check_ordered_cleanup();
    check_new();
    check_tagged();
    check_exceptions();
    check_throwing_finalizers();
    check_cleanup_of_all();
    auto shared = std::allocate_shared<number>(broom::allocator<number>(), 5);
    collect_and_overwrite();
    CHECK(shared->value == 5);
    std::puts("C++: all right");
}
