#include <cstdlib>

#include "arguments.hpp"

namespace luce::bindings {

namespace {
const Kernels* chosen = nullptr;
}

const Kernels& active() { return *chosen; }

void bind_dispatch(nb::module_& module) {
  chosen = &choose_kernels(std::getenv("LUCE_ISA"));
  module.def("isa", [] { return active().isa; }, "The instruction set in use.");
  module.def(
      "supported_isas",
      [] {
        nb::list names;
        for (const Kernels* table : supported_kernels()) names.append(table->isa);
        return nb::tuple(names);
      },
      "The instruction sets this build has and this machine can run, the most capable last.");
}

}  // namespace luce::bindings

NB_MODULE(_core, module) {
  try {
    luce::bindings::bind_dispatch(module);
  } catch (const std::invalid_argument& error) {
    throw nanobind::import_error(error.what());
  }
  luce::bindings::bind_maps(module);
  luce::bindings::bind_losses(module);
  luce::bindings::bind_linear(module);
  luce::bindings::bind_scores(module);
  luce::bindings::bind_sparse_linear(module);
  luce::bindings::bind_network(module);
  luce::bindings::bind_network_steps(module);
  luce::bindings::bind_sample(module);
}
