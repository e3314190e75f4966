// The choice of an instruction set: once, when the module is imported.
#pragma once

#include <string>
#include <vector>

#include "kernels.hpp"

namespace luce {

// The tables this build has and this machine can run, the most capable last.
std::vector<const Kernels*> supported_kernels();

// The table named by `wanted`, or the most capable one when `wanted` is null or empty.
// Throws std::invalid_argument when the name is unknown or the machine cannot run it.
const Kernels& choose_kernels(const char* wanted);

}  // namespace luce
