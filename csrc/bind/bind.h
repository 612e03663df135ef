// What the binding files share. Each file binds one topic: module.cpp calls them in turn.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

namespace cutaway {

void bind_base(pybind11::module_& m);
void bind_load(pybind11::module_& m);
void bind_text(pybind11::module_& m);
void bind_kernels(pybind11::module_& m);
void bind_formats(pybind11::module_& m);
void bind_run(pybind11::module_& m);
void bind_sample(pybind11::module_& m);

}  // namespace cutaway
