#include "bind/bind.h"

namespace py = pybind11;

namespace cutaway {

void bind_kernels(py::module_&) {}

}  // namespace cutaway
