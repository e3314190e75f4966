// Shares tasks among threads: a small pool of our own, which survives fork and serves many callers at once.
#pragma once

#include <atomic>
#include <cstddef>

#include "kernels.hpp"

namespace luce {

// Asked now and then, on the caller's thread: whether to give up. Once true it stays true.
struct Patience {
  bool (*is_over)(void* context);
  void* context;
};

// One call's tasks, numbered from 0. `run` is called for each by one of the threads, with memory of its own.
struct Job {
  Index tasks;
  std::size_t workspace_bytes;
  void (*run)(const void* context, Index task, Workspace workspace);
  const void* context;
};

// Runs the job on up to `threads` threads, the caller's among them. When it is given up some tasks are done, some in
// part, and none is running any more.
void run_job(const Job& job, int threads, Patience patience);

}  // namespace luce
