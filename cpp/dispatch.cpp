#include "dispatch.hpp"

#include <stdexcept>

namespace luce {

#if defined(__x86_64__)
namespace v2 { extern const Kernels kernels; }
namespace v3 { extern const Kernels kernels; }
namespace v4 { extern const Kernels kernels; }
#else
namespace baseline { extern const Kernels kernels; }
#endif

namespace {

struct Candidate {
  const Kernels* kernels;
  bool supported;
};

std::vector<Candidate> candidates() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool v2 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("ssse3") &&
                  __builtin_cpu_supports("popcnt");
  const bool v3 = v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                  __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  [[maybe_unused]] const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
  return {
#if defined(LUCE_HAS_v2)
      {&v2::kernels, v2},
#endif
#if defined(LUCE_HAS_v3)
      {&v3::kernels, v3},
#endif
#if defined(LUCE_HAS_v4)
      {&v4::kernels, v4},
#endif
  };
#else
  return {{&baseline::kernels, true}};
#endif
}

std::string names(const std::vector<const Kernels*>& tables) {
  std::string text;
  for (const Kernels* table : tables) text += (text.empty() ? "" : ", ") + std::string(table->isa);
  return text;
}

}  // namespace

std::vector<const Kernels*> supported_kernels() {
  std::vector<const Kernels*> tables;
  for (const Candidate& candidate : candidates())
    if (candidate.supported) tables.push_back(candidate.kernels);
  return tables;
}

const Kernels& choose_kernels(const char* wanted) {
  const std::vector<const Kernels*> supported = supported_kernels();
  if (supported.empty())
    throw std::invalid_argument("luce needs a processor with SSE 4.2 (x86-64-v2) or later, or with the instruction sets it "
                                "was built for; this one has them not");
  if (wanted == nullptr || *wanted == '\0') return *supported.back();
  for (const Kernels* table : supported)
    if (std::string(wanted) == table->isa) return *table;
  bool known = false;
  for (const Candidate& candidate : candidates()) known = known || std::string(wanted) == candidate.kernels->isa;
  throw std::invalid_argument("LUCE_ISA=" + std::string(wanted) +
                              (known ? " is an instruction set this machine cannot run"
                                     : " is no instruction set luce was built for") +
                              "; set it to one of: " + names(supported) + ", or unset it");
}

}  // namespace luce
