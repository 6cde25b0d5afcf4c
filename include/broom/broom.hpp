// broom/broom.hpp - Broom in C++17: an allocator for containers, objects by
// broom::gc_new, and base classes.
//
// Exhaustion is std::bad_alloc here. Exceptions may pass through Broom's functions
// where broom.h says so: an out-of-memory handler and a finalizer may throw.
// The collector reclaims objects without running their destructors, unless their class
// is derived from broom::cleanup.
#ifndef BROOM_HPP
#define BROOM_HPP

#include <broom.h>
#include <broom/finalizer.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#include <type_traits>
#include <utility>

namespace broom {

// Whether objects of a type hold no pointers, so that they need not be scanned: numbers,
// but not integers and enumerations that are large enough for a pointer, as a
// std::uintptr_t may be a tagged one. Specialise it for your own types; for a container
// of large integers that are only numbers, use broom::atomic_allocator.
template <class T>
struct is_atomic
    : std::bool_constant<std::is_floating_point_v<T> ||
                         ((std::is_integral_v<T> || std::is_enum_v<T>) && sizeof(T) < sizeof(std::uintptr_t))> {};

class cleanup;
template <class T> class atomic_allocator;

namespace detail {

template <class T, bool Atomic = is_atomic<T>::value> [[nodiscard]] T *allocate(std::size_t count)
{
    constexpr bool aligned = alignof(T) > 16;
    void *memory;

    if (count > std::numeric_limits<std::size_t>::max() / sizeof(T))
        throw std::bad_array_new_length();
    if constexpr (aligned)
        memory = gc_aligned_alloc(alignof(T), count * sizeof(T));
    else if constexpr (Atomic)
        memory = gc_malloc_atomic(count * sizeof(T));
    else
        memory = gc_malloc(count * sizeof(T));
    if (memory == nullptr)
        throw std::bad_alloc();
    return static_cast<T *>(memory);
}

inline void *check(void *memory)
{
    if (memory == nullptr)
        throw std::bad_alloc();
    return memory;
}

inline void *allocate_aligned(std::size_t bytes, std::align_val_t alignment) noexcept
{
    return gc_aligned_alloc(static_cast<std::size_t>(alignment), bytes);
}

inline void *expect_cleanup(void *start) noexcept;

} // namespace detail

// For containers: their elements are scanned, and what these point at lives as long as
// the container is reachable, or lies on a stack. A container that is dropped without
// being destroyed is reclaimed with all that it holds, and no destructor is run.
template <class T> class allocator {
  public:
    using value_type = T;
    using is_always_equal = std::true_type;
    using propagate_on_container_move_assignment = std::true_type;

    allocator() noexcept = default;
    template <class U> allocator(const allocator<U> &) noexcept {}
    template <class U> allocator(const atomic_allocator<U> &) noexcept {}

    [[nodiscard]] T *allocate(std::size_t count) { return detail::allocate<T>(count); }
    void deallocate(T *memory, std::size_t) noexcept { gc_free(memory); }
};

template <class T, class U> bool operator==(const allocator<T> &, const allocator<U> &) noexcept
{
    return true;
}

template <class T, class U> bool operator!=(const allocator<T> &, const allocator<U> &) noexcept
{
    return false;
}

// For containers whose elements hold no pointers, whatever their type says. Nodes, of a
// list, say, are scanned nevertheless.
template <class T> class atomic_allocator {
  public:
    using value_type = T;
    using is_always_equal = std::true_type;
    using propagate_on_container_move_assignment = std::true_type;
    template <class U> struct rebind {
        using other = std::conditional_t<std::is_same_v<T, U>, atomic_allocator<T>, allocator<U>>;
    };

    atomic_allocator() noexcept = default;
    template <class U> atomic_allocator(const allocator<U> &) noexcept {}

    [[nodiscard]] T *allocate(std::size_t count) { return detail::allocate<T, true>(count); }
    void deallocate(T *memory, std::size_t) noexcept { gc_free(memory); }
};

template <class T> bool operator==(const atomic_allocator<T> &, const atomic_allocator<T> &) noexcept
{
    return true;
}

template <class T> bool operator!=(const atomic_allocator<T> &, const atomic_allocator<T> &) noexcept
{
    return false;
}

// A new object in the heap. Nobody runs its destructor, unless its class is derived from
// broom::cleanup.
template <class T, class... Arguments> [[nodiscard]] T *gc_new(Arguments &&...arguments)
{
    T *memory = detail::allocate<T>(1);

    if constexpr (std::is_base_of_v<cleanup, T>)
        (void)detail::check(detail::expect_cleanup(memory));
    try {
        return ::new (static_cast<void *>(memory)) T(std::forward<Arguments>(arguments)...);
    } catch (...) {
        gc_free(memory);
        throw;
    }
}

// Base of classes whose objects `new` makes in the heap; `delete` is optional.
class object {
  public:
    static void *operator new(std::size_t bytes) { return detail::check(gc_malloc(bytes)); }
    static void *operator new[](std::size_t bytes) { return detail::check(gc_malloc(bytes)); }
    static void *operator new(std::size_t bytes, std::align_val_t alignment)
    {
        return detail::check(detail::allocate_aligned(bytes, alignment));
    }
    static void *operator new[](std::size_t bytes, std::align_val_t alignment)
    {
        return detail::check(detail::allocate_aligned(bytes, alignment));
    }

    static void *operator new(std::size_t bytes, const std::nothrow_t &) noexcept { return gc_malloc(bytes); }
    static void *operator new[](std::size_t bytes, const std::nothrow_t &) noexcept { return gc_malloc(bytes); }
    static void *operator new(std::size_t bytes, std::align_val_t alignment, const std::nothrow_t &) noexcept
    {
        return detail::allocate_aligned(bytes, alignment);
    }
    static void *operator new[](std::size_t bytes, std::align_val_t alignment, const std::nothrow_t &) noexcept
    {
        return detail::allocate_aligned(bytes, alignment);
    }

    static void *operator new(std::size_t, void *place) noexcept { return place; }
    static void *operator new[](std::size_t, void *place) noexcept { return place; }

    static void operator delete(void *memory) noexcept { gc_free(memory); }
    static void operator delete[](void *memory) noexcept { gc_free(memory); }
    static void operator delete(void *memory, std::align_val_t) noexcept { gc_free(memory); }
    static void operator delete[](void *memory, std::align_val_t) noexcept { gc_free(memory); }
    // Where a constructor throws.
    static void operator delete(void *memory, const std::nothrow_t &) noexcept { gc_free(memory); }
    static void operator delete[](void *memory, const std::nothrow_t &) noexcept { gc_free(memory); }
    static void operator delete(void *memory, std::align_val_t, const std::nothrow_t &) noexcept { gc_free(memory); }
    static void operator delete[](void *memory, std::align_val_t, const std::nothrow_t &) noexcept { gc_free(memory); }
    static void operator delete(void *, void *) noexcept {}
    static void operator delete[](void *, void *) noexcept {}
};

namespace detail {

inline void remember_cleanup(const void *base, gc_finalizer_order order);
inline void forget_cleanup(const void *base) noexcept;

} // namespace detail

// Base of classes whose destructor the collector is to run, once it finds that an object
// cannot be reached any more: as a finalizer in the queue of the program (see
// broom/finalizer.h). That goes for objects made by `new` or broom::gc_new. Others are
// destroyed as ever, or not at all: those on a stack or in an arena, elements of
// containers, and members of other objects, as the destructors of these see to them.
// `delete` runs the destructor at once. There are no arrays of such objects.
//
// The finalizer is unordered: other objects with finalizers that the destructor comes to
// by a pointer may have been destroyed already. Members, and what containers among them
// hold, are whole.
class cleanup : public object {
  public:
    static void *operator new(std::size_t bytes) { return detail::check(detail::expect_cleanup(gc_malloc(bytes))); }
    static void *operator new(std::size_t bytes, std::align_val_t alignment)
    {
        return detail::check(detail::expect_cleanup(detail::allocate_aligned(bytes, alignment)));
    }
    static void *operator new(std::size_t bytes, const std::nothrow_t &) noexcept
    {
        return detail::expect_cleanup(gc_malloc(bytes));
    }
    static void *operator new(std::size_t bytes, std::align_val_t alignment, const std::nothrow_t &) noexcept
    {
        return detail::expect_cleanup(detail::allocate_aligned(bytes, alignment));
    }
    static void *operator new(std::size_t, void *place) noexcept { return place; }
    static void *operator new[](std::size_t) = delete;

    static void operator delete(void *memory) noexcept { gc_free(memory); }
    static void operator delete(void *memory, std::align_val_t) noexcept { gc_free(memory); }
    static void operator delete(void *memory, const std::nothrow_t &) noexcept { gc_free(memory); }
    static void operator delete(void *memory, std::align_val_t, const std::nothrow_t &) noexcept { gc_free(memory); }
    static void operator delete(void *, void *) noexcept {}

    virtual ~cleanup() { detail::forget_cleanup(this); }

  protected:
    cleanup() { detail::remember_cleanup(this, GC_FINALIZE_UNORDERED); }
    cleanup(const cleanup &) { detail::remember_cleanup(this, GC_FINALIZE_UNORDERED); }
    cleanup &operator=(const cleanup &) { return *this; }

  private:
    friend class ordered_cleanup;
    explicit cleanup(gc_finalizer_order order) { detail::remember_cleanup(this, order); }
};

// The same with an ordered finalizer: the destructor runs before those of all other
// objects with finalizers that the object leads to. So the object must not lead back to
// itself by way of others, or it is never destroyed. Children with pointers to their
// parent do; and so do std::list, map, set and unordered_map with broom::allocator as
// members, as their nodes point back at them.
class ordered_cleanup : public cleanup {
  protected:
    ordered_cleanup() : cleanup(GC_FINALIZE_ORDERED) {}
    ordered_cleanup(const ordered_cleanup &) : cleanup(GC_FINALIZE_ORDERED) {}
    ordered_cleanup &operator=(const ordered_cleanup &) { return *this; }
};

namespace detail {

// The data of the finalizer say where in the object the base class lies: the distance and
// one, as a pointer would be a root. NULL: it is not constructed yet.
inline void *distance(const void *start, const void *base) noexcept
{
    return reinterpret_cast<void *>(reinterpret_cast<std::uintptr_t>(base) - reinterpret_cast<std::uintptr_t>(start) +
                                    1);
}

inline void destroy(void *start, void *distance)
{
    std::uintptr_t base = reinterpret_cast<std::uintptr_t>(start) + reinterpret_cast<std::uintptr_t>(distance) - 1;

    if (distance != nullptr)
        reinterpret_cast<cleanup *>(base)->~cleanup();
}

// An object is going to be constructed there. NULL: no memory, and `start` is freed.
inline void *expect_cleanup(void *start) noexcept
{
    if (start == nullptr || gc_set_finalizer(start, destroy, nullptr) == 0)
        return start;
    gc_free(start);
    return nullptr;
}

// The object of the heap that the base class lies in, if its destructor is to be run.
inline void *find_expected(const void *base, void *&distance) noexcept
{
    void *start = gc_base(base);
    gc_finalizer finalizer;

    if (start == nullptr || !gc_get_finalizer(nullptr, start, &finalizer, &distance) || finalizer != destroy)
        return nullptr;
    return start;
}

// The first one to be constructed is that of the whole object, others are its members'.
inline void remember_cleanup(const void *base, gc_finalizer_order order)
{
    void *known, *start = find_expected(base, known);

    if (start != nullptr && known == nullptr &&
        gc_set_finalizer_in(nullptr, start, destroy, distance(start, base), order) != 0)
        throw std::bad_alloc();
}

inline void forget_cleanup(const void *base) noexcept
{
    void *known, *start = find_expected(base, known);

    if (start != nullptr && known == distance(start, base))
        (void)gc_set_finalizer(start, nullptr, nullptr);
}

} // namespace detail

} // namespace broom

#endif
