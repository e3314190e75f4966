// Work in stages, each shared among threads that go through all of them together: for stages so short that to hand each
// of them to the pool would take as long as the stage itself.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>

#include "parallel.hpp"

namespace luce {

// One of `count` threads that share a stage.
struct Lane {
  Index number, count;

  // Its share of so many things.
  Index first_of(Index things) const { return things * number / count; }
  Index end_of(Index things) const { return things * (number + 1) / count; }
};

// `run(stage, lane, memory)` does a lane's share of a stage, and says whether there is another one: all lanes say the same.
// A stage begins when all lanes are through with the one before. The first thread to come does stage 0 alone, and others join
// between two stages: nobody waits long for a thread that the system does not run.
template <class Run>
class Stages {
 public:
  explicit Stages(const Run& run) : run_(run) {}

  void share(int threads, std::size_t workspace_bytes, Patience patience) {
    threads_ = std::clamp<Index>(threads, 1, most);
    const Job job{threads_, workspace_bytes,
                  [](const void* self, Index, Workspace workspace) {
                    static_cast<Stages*>(const_cast<void*>(self))->enter(workspace.memory);
                  },
                  this};
    run_job(job, threads, patience);
  }

 private:
  static constexpr Index most = 256;
  static constexpr int pauses = 500;  // some microseconds

  // Who takes part in a stage, and how many took part in the one before it.
  struct Members {
    Index stage, count, before;
  };
  // Stage, count and before in one number, so that it is read whole.
  static constexpr Index pack(Members members) { return (members.stage << 20) + (members.count << 10) + members.before; }
  static constexpr Members unpack(Index packed) { return {packed >> 20, packed >> 10 & 1023, packed & 1023}; }

  struct alignas(64) Progress {
    std::atomic<Index> finished{0};  // stages
  };

  void enter(void* memory) {
    const Index number = arrived_++;
    Members now{0, 1, 0};
    if (number > 0 && !join(number, now)) return;
    progress_[number].finished.store(now.stage, std::memory_order_release);
    for (;;) {
      wait_until([&] { return have_finished(now.before, now.stage); });
      const bool goes_on = run_(now.stage, Lane{number, now.count}, memory);
      if (now.stage == 0 && goes_on)
        for (int i = 0; i < pauses && arrived_.load() < threads_; ++i) pause();
      if (number == 0 && goes_on) announce({now.stage + 1, std::min(arrived_.load(), most), now.count});
      if (!goes_on) break;
      progress_[number].finished.store(now.stage + 1, std::memory_order_release);
      wait_until([&] { return progress_[0].finished.load(std::memory_order_acquire) > now.stage; });
      now = unpack(members_[(now.stage + 1) % 2].load(std::memory_order_acquire));
    }
    is_over_.store(true, std::memory_order_release);
  }

  // The first stage that the lane belongs to; false when all was done without it.
  bool join(Index number, Members& now) {
    bool is_member = false;
    wait_until([&] {
      const bool is_over = is_over_.load(std::memory_order_acquire);  // read first: nothing is announced after it
      for (const auto& packed : members_) {
        const Members members = unpack(packed.load(std::memory_order_acquire));
        if (members.before > number || members.count <= number) continue;
        now = members;
        is_member = true;
      }
      return is_member || is_over;
    });
    return is_member;
  }

  // By the first lane, before it is through with the stage before. A stage's members stay known until all of them are
  // through with it.
  void announce(Members members) {
    members_[members.stage % 2].store(pack(members), std::memory_order_release);
  }

  bool have_finished(Index lanes, Index stages) const {
    for (Index i = 0; i < lanes; ++i)
      if (progress_[i].finished.load(std::memory_order_acquire) < stages) return false;
    return true;
  }

  // Actively, but there may be fewer CPUs than threads.
  template <class Condition>
  static void wait_until(const Condition& is_true) {
    for (int i = 0; !is_true(); ++i) {
      if (i < pauses) pause();
      else std::this_thread::yield();
    }
  }
  static void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  const Run& run_;
  Index threads_ = 1;
  alignas(64) std::atomic<Index> arrived_{0};
  std::atomic<bool> is_over_{false};
  alignas(64) std::array<std::atomic<Index>, 2> members_{};
  std::array<Progress, most> progress_;
};

}  // namespace luce
