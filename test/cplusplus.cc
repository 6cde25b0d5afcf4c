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
#include <set>
#include <stdexcept>
#include <string>
#include <unordered_map>
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
    check_dropped();
    check_alignment();
    check_cleanup();
    check_exceptions();
    check_cleanup_of_all();
    auto shared = std::allocate_shared<number>(broom::allocator<number>(), 5);
    collect_and_overwrite();
    CHECK(shared->value == 5);
    std::puts("C++: all right");
}
