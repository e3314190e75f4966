#include "parallel.hpp"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

namespace luce {
namespace {

// Memory a thread keeps from call to call; the large it gives back.
class ThreadMemory {
 public:
  ~ThreadMemory() { std::free(memory_); }

  void* get(std::size_t bytes) {
    if (bytes <= size_) return memory_;
    std::free(memory_);
    size_ = 0;
    const std::size_t rounded = (bytes + 4095) / 4096 * 4096;
    memory_ = std::aligned_alloc(4096, rounded);
    if (memory_ == nullptr) throw std::bad_alloc();
    size_ = rounded;
    return memory_;
  }
  void give_back() {
    if (size_ <= most_kept) return;
    std::free(memory_);
    memory_ = nullptr;
    size_ = 0;
  }

 private:
  static constexpr std::size_t most_kept = std::size_t{4} << 20;
  void* memory_ = nullptr;
  std::size_t size_ = 0;
};

ThreadMemory& thread_memory() {
  thread_local ThreadMemory memory;
  return memory;
}

// Waits actively for a moment, longer than what a training pass leaves to Python: a thread that sleeps takes longer to wake
// than most calls take. Whoever else wants the CPU has it meanwhile. Whether it came true.
template <class Condition>
bool spin_until(Condition is_true) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::microseconds(600);
  do {
    for (int i = 0; i < 32; ++i) {
      if (is_true()) return true;
#if defined(__x86_64__)
      __builtin_ia32_pause();
#elif defined(__aarch64__)
      asm volatile("yield");
#endif
    }
    std::this_thread::yield();
  } while (Clock::now() < end);
  return false;
}

// A job under way. It lives until the last thread has let go of it.
struct Share {
  const Job job;
  int helpers_wanted;
  std::atomic<Index> next{0};
  std::atomic<Index> finished{0};
  bool cancelled = false;
  std::atomic<bool> out_of_memory{false};
  std::mutex mutex;
  std::condition_variable done;

  Share(const Job& job, int helpers) : job(job), helpers_wanted(helpers) {}

  void cancel() { __atomic_store_n(&cancelled, true, __ATOMIC_RELAXED); }
  bool is_cancelled() const { return __atomic_load_n(&cancelled, __ATOMIC_RELAXED); }

  // Runs tasks until none is left. On the caller's thread `poll` looks up from time to time.
  void work(bool (*poll)(void*), void* poll_context) {
    void* memory = nullptr;
    for (Index task = next++; task < job.tasks; task = next++) {
      Index dealt_with = 1;
      if (is_cancelled()) {
        dealt_with += std::max<Index>(0, job.tasks - next.exchange(job.tasks));  // all that nobody has begun
      } else {
        try {
          if (memory == nullptr) memory = thread_memory().get(job.workspace_bytes);
          job.run(job.context, task, Workspace{memory, &cancelled, poll, poll_context});
        } catch (const std::bad_alloc&) {
          out_of_memory = true;
          cancel();
        }
      }
      if ((finished += dealt_with) == job.tasks) {
        const std::lock_guard<std::mutex> lock(mutex);
        done.notify_all();
      }
      if (poll != nullptr) poll(poll_context);
    }
    thread_memory().give_back();
  }
};

class Pool {
 public:
  void offer(const std::shared_ptr<Share>& share) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      waiting_.push_back(share);
      count_waiting();
      const int wanted = share->helpers_wanted;
      while (idle_ + starting_ < wanted && threads_ < most_threads) {
        try {
          std::thread([this] { serve(); }).detach();
        } catch (const std::exception&) {
          break;  // no more threads to be had: those there are will do
        }
        ++threads_;
        ++starting_;
      }
    }
    work_there_.notify_all();
  }

  void withdraw(const std::shared_ptr<Share>& share) {
    const std::lock_guard<std::mutex> lock(mutex_);
    waiting_.erase(std::remove(waiting_.begin(), waiting_.end(), share), waiting_.end());
    count_waiting();
  }

 private:
  static constexpr int most_threads = 1024;

  void serve() {
    std::unique_lock<std::mutex> lock(mutex_);
    --starting_;
    for (;;) {
      ++idle_;
      if (waiting_.empty()) {
        lock.unlock();
        spin_until([this] { return jobs_waiting_.load(std::memory_order_relaxed) > 0; });
        lock.lock();
      }
      work_there_.wait(lock, [this] { return !waiting_.empty(); });
      --idle_;
      const std::shared_ptr<Share> share = waiting_.front();
      if (--share->helpers_wanted <= 0) waiting_.erase(waiting_.begin());
      count_waiting();
      lock.unlock();
      share->work(nullptr, nullptr);
      lock.lock();
    }
  }

  void count_waiting() { jobs_waiting_.store(waiting_.size(), std::memory_order_relaxed); }

  std::mutex mutex_;
  std::condition_variable work_there_;
  std::vector<std::shared_ptr<Share>> waiting_;
  std::atomic<std::size_t> jobs_waiting_{0};
  int threads_ = 0, idle_ = 0, starting_ = 0;
};

// Never destroyed: its threads may outlive everything else. A child process has none of them, so it begins anew.
Pool* pool = nullptr;
std::once_flag pool_made;

Pool& the_pool() {
  std::call_once(pool_made, [] {
    pool = new Pool;
    pthread_atfork(nullptr, nullptr, [] { pool = new Pool; });
  });
  return *pool;
}

void run_alone(const Job& job, Patience patience) {
  const bool never = false;
  const Workspace workspace{thread_memory().get(job.workspace_bytes), &never, patience.is_over, patience.context};
  for (Index task = 0; task < job.tasks; ++task) {
    job.run(job.context, task, workspace);
    if (job.tasks > 1 && patience.is_over(patience.context)) break;
  }
  thread_memory().give_back();
}

}  // namespace

void run_job(const Job& job, int threads, Patience patience) {
  const Index helpers = std::min<Index>(threads, job.tasks) - 1;
  if (helpers <= 0) return run_alone(job, patience);
  const auto share = std::make_shared<Share>(job, static_cast<int>(helpers));
  struct Caller {
    Share& share;
    Patience patience;
  } caller{*share, patience};
  const auto look_up = [](void* context) {
    Caller& self = *static_cast<Caller*>(context);
    if (self.patience.is_over(self.patience.context)) self.share.cancel();
    return self.share.is_cancelled();
  };
  the_pool().offer(share);
  share->work(look_up, &caller);
  the_pool().withdraw(share);
  spin_until([&] { return share->finished == job.tasks; });
  std::unique_lock<std::mutex> lock(share->mutex);
  while (!share->done.wait_for(lock, std::chrono::milliseconds(20), [&] { return share->finished == job.tasks; })) {
    lock.unlock();
    look_up(&caller);
    lock.lock();
  }
  if (share->out_of_memory) throw std::bad_alloc();
}

}  // namespace luce
