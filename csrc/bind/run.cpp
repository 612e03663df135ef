#include "bind/bind.h"

namespace py = pybind11;

namespace cutaway {

void bind_run(py::module_&) {}

}  // namespace cutaway
