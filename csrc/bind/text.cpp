#include "bind/bind.h"

namespace py = pybind11;

namespace cutaway {

void bind_text(py::module_&) {}

}  // namespace cutaway
