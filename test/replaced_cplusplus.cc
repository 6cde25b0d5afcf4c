// replaced_cplusplus.cc - a C++ program that knows of no collector: replaced_cplusplus.sh
// runs it with the library broom-malloc in the place of malloc. It ends with status 0 if
// all is well.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <future>
#include <locale>
#include <map>
#include <memory>
#include <new>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                       \
            std::_Exit(1);                                                                                             \
        }                                                                                                              \
    } while (0)

static void *volatile sink;

// Of all sizes that what was lost may have had.
static void litter()
{
    for (int round = 0; round < 10; round++)
        for (std::size_t bytes = 16; bytes <= 2048; bytes += 16)
            for (std::size_t i = 0; i < 1 + 512 / bytes; i++)
                sink = std::memset(std::malloc(bytes), 0x5a, bytes);
}

static const char long_text[] = "a text that does not fit into the string itself, number ";

// ---- Exceptions ---------------------------------------------------------------------------

struct failure : std::runtime_error {
    std::unique_ptr<std::string> more;

    explicit failure(int number)
        : std::runtime_error(long_text + std::to_string(number)), more(new std::string(long_text))
    {
    }
};

// Nothing but the C++ library knows the exception while its destructor runs.
struct litters {
    ~litters()
    {
        litter();
    }
};

static __attribute__((noinline)) void fail(int number)
{
    litters on_the_way;

    throw failure(number);
}

static __attribute__((noinline)) void fail_twice(int number)
{
    litters on_the_way;

    try {
        fail(number);
    } catch (...) {
        litter();
        std::throw_with_nested(std::logic_error(long_text));
    }
}

static void check_nested(const std::exception &outer, int number)
{
    REQUIRE(outer.what() == std::string(long_text));
    try {
        std::rethrow_if_nested(outer);
        REQUIRE(false);
    } catch (const failure &inner) {
        litter();
        REQUIRE(inner.what() == long_text + std::to_string(number) && *inner.more == long_text);
    }
}

static void check_exceptions()
{
    for (int i = 0; i < 10; i++)
        try {
            fail_twice(i);
            REQUIRE(false);
        } catch (const std::exception &outer) {
            litter();
            check_nested(outer, i);
        }
}

static void check_exceptions_of_threads()
{
    std::vector<std::future<void>> results;

    for (int i = 0; i < 4; i++)
        results.push_back(std::async(std::launch::async, fail, i));
    for (int i = 0; i < 4; i++)
        try {
            litter();
            results[static_cast<std::size_t>(i)].get();
            REQUIRE(false);
        } catch (const failure &caught) {
            litter();
            REQUIRE(caught.what() == long_text + std::to_string(i) && *caught.more == long_text);
        }
}

static void check_exhaustion()
{
    volatile std::size_t huge = static_cast<std::size_t>(-1) / 4;

    try {
        sink = ::operator new(huge);
        REQUIRE(false);
    } catch (const std::bad_alloc &) {
        litter();
    }
    REQUIRE(::operator new(huge, std::nothrow) == nullptr);
}

// ---- What threads and the library keep ---------------------------------------------------------

struct registered {
    std::string text = long_text;
    std::unique_ptr<std::string> more{new std::string(long_text)};

    ~registered()
    {
        litter();
        REQUIRE(text == long_text && *more == long_text);
    }
};

static thread_local std::map<std::string, registered> of_thread;
static registered of_program;

static void check_thread_local()
{
    std::vector<std::thread> threads;

    of_thread[long_text];
    for (int i = 0; i < 4; i++)
        threads.emplace_back([] {
            of_thread[long_text];
            of_thread["short"];
            litter();
            REQUIRE(of_thread.size() == 2 && of_thread[long_text].text == long_text);
        });
    for (auto &thread : threads)
        thread.join();
    litter();
    REQUIRE(of_thread.size() == 1);
}

struct comma : std::numpunct<char> {
    std::string text = long_text;
    char do_decimal_point() const override
    {
        return text.size() == sizeof long_text - 1 ? ',' : '!';
    }
};

static void check_library()
{
    std::locale::global(std::locale(std::locale(), new comma));
    std::regex expression("^(a|b)*c([0-9]{2,5})x?$");
    litter();
    std::ostringstream stream;
    std::smatch match;
    std::string text = "abbac123x";
    stream << 1.5;
    REQUIRE(stream.str() == "1,5");
    REQUIRE(std::regex_match(text, match, expression) && match[2] == "123");
}

// ---- new and delete -------------------------------------------------------------------------------

struct alignas(256) aligned {
    char text[300];
};

static void check_operators()
{
    for (int i = 0; i < 1000; i++) {
        std::unique_ptr<aligned> single(new aligned);
        std::unique_ptr<aligned[]> several(new aligned[3]);
        std::shared_ptr<std::string> shared = std::make_shared<std::string>(long_text);
        std::weak_ptr<std::string> weak = shared;

        REQUIRE(reinterpret_cast<std::uintptr_t>(single.get()) % 256 == 0);
        REQUIRE(reinterpret_cast<std::uintptr_t>(several.get()) % 256 == 0);
        shared.reset();
        REQUIRE(weak.expired());
    }
}

int main()
{
    check_exceptions();
    check_exceptions_of_threads();
    check_exhaustion();
    check_thread_local();
    check_library();
    check_operators();
    return 0;
}
