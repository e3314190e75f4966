// Work that threads share, and memory for it.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#include "kernels.hpp"
#include "parallel.hpp"

namespace luce {

// What a large buffer lies in; null: the heap.
struct Mapping {
  void* start;
  std::size_t bytes;
};

template <class T>
struct FreeMemory {
  Mapping mapping;
  void operator()(T* memory) const {
    if (mapping.start != nullptr) munmap(mapping.start, mapping.bytes);
    else std::free(memory);
  }
};
template <class T>
using Buffer = std::unique_ptr<T[], FreeMemory<T>>;

// A large buffer is given back to the system as soon as it is freed: in the heap, what comes to lie behind it would keep it
// there. It comes in large pages, or to touch it anew in every pass would take as long as some passes do.
template <class T>
Buffer<T> buffer_of(Index size) {
  constexpr std::size_t page = 4096, large_page = std::size_t{2} << 20;
  const auto rounded = [&](std::size_t bytes, std::size_t unit) { return (bytes + unit - 1) / unit * unit; };
  const std::size_t bytes = static_cast<std::size_t>(size) * sizeof(T);
  if (bytes < 2 * large_page) {
    auto* const memory = static_cast<T*>(std::aligned_alloc(page, rounded(bytes, page)));
    if (memory == nullptr) throw std::bad_alloc();
    return Buffer<T>(memory, {{nullptr, 0}});
  }
  const std::size_t whole = rounded(bytes, large_page), mapped = whole + large_page;
  void* const start = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) throw std::bad_alloc();
  void* const memory = reinterpret_cast<void*>(rounded(reinterpret_cast<std::uintptr_t>(start), large_page));
#if defined(MADV_HUGEPAGE)
  madvise(memory, whole, MADV_HUGEPAGE);
#endif
  return Buffer<T>(static_cast<T*>(memory), {{start, mapped}});
}

inline Index rounded_up(Index size, Index multiple) { return (size + multiple - 1) / multiple * multiple; }

class SharedWork {
 public:
  SharedWork(int threads, Patience patience) : threads_(threads), patience_(patience) {}

  // task(number, workspace) for so many, each with memory of so many bytes.
  template <class F>
  void share(Index tasks, std::size_t bytes, const F& task) const {
    const Job job{tasks, bytes + 64,
                  [](const void* context, Index number, Workspace workspace) {
                    (*static_cast<const F*>(context))(number, workspace);
                  },
                  &task};
    run_job(job, threads_, patience_);
  }

 protected:
  static bool is_given_up(const Workspace& workspace) {
    return __atomic_load_n(workspace.cancelled, __ATOMIC_RELAXED) ||
           (workspace.poll != nullptr && workspace.poll(workspace.poll_context));
  }

  // Some of a task's memory, at a line of its own.
  template <class T>
  static T* take(Workspace& workspace, Index size) {
    auto* const memory = static_cast<T*>(workspace.memory);
    workspace.memory = memory + rounded_up(size, 64 / Index{sizeof(T)});
    return memory;
  }

  const int threads_;
  const Patience patience_;
};

}  // namespace luce
