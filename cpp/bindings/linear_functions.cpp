// The affine layer's functions over arrays.
#include "arrays.hpp"
#include "fastrnn/linear.h"
#include "functions.hpp"

namespace fastrnn::bindings {
namespace {

using Size = py::ssize_t;

LinearSize linear_size(Size rows, const py::array& weight) {
  if (weight.ndim() != 2 || weight.shape(0) < 1 || weight.shape(1) < 1)
    throw py::value_error("weight: expected 2 axes (output_size, input_size) of at least 1 each");
  return {rows, weight.shape(1), weight.shape(0)};
}

Size rows_of(const char* name, const py::array& x) {
  if (x.ndim() != 2)
    throw py::value_error(std::string(name) + ": expected 2 axes, got " + std::to_string(x.ndim()));
  return x.shape(0);
}

std::size_t workspace_size(Size rows, Size input_size, Size output_size, Size itemsize) {
  if (rows < 0 || input_size < 1 || output_size < 1)
    throw py::value_error("rows, input_size, output_size: expected at least 0, 1, 1");
  const LinearSize size{rows, input_size, output_size};
  return with_itemsize(itemsize, [&](auto zero) { return linear_workspace_bytes<decltype(zero)>(size); });
}

void run_forward(const py::array& weight, const OptionalArray& bias, const py::array& x, const py::array& y,
                 const py::array& workspace) {
  with_scalar("weight", weight, [&](auto zero) {
    using T = decltype(zero);
    const LinearSize size = linear_size(rows_of("x", x), weight);
    const Size N = size.rows, I = size.input_size, O = size.output_size;
    Views<T> views;
    const LinearForwardArguments<T> arguments{
        size,
        views.read_flat("weight", weight, {O, I}),
        views.read_flat("bias", bias, {O}),
        matrix(views.read("x", x, {N, I})),
        matrix(views.write("y", y, {N, O})),
        views.scratch("workspace", workspace, linear_workspace_bytes<T>(size))};
    const py::gil_scoped_release release;
    linear_forward<T>(arguments);
  });
}

void run_backward(const py::array& weight, const py::array& x, const py::array& dy, const OptionalArray& dx,
                  const py::array& dweight, const OptionalArray& dbias, const py::array& workspace) {
  with_scalar("weight", weight, [&](auto zero) {
    using T = decltype(zero);
    const LinearSize size = linear_size(rows_of("x", x), weight);
    const Size N = size.rows, I = size.input_size, O = size.output_size;
    Views<T> views;
    const LinearBackwardArguments<T> arguments{
        size,
        views.read_flat("weight", weight, {O, I}),
        matrix(views.read("x", x, {N, I})),
        matrix(views.read("dy", dy, {N, O})),
        matrix(views.write("dx", dx, {N, I})),
        views.write_flat("dweight", dweight, {O, I}),
        views.write_flat("dbias", dbias, {O}),
        views.scratch("workspace", workspace, linear_workspace_bytes<T>(size))};
    const py::gil_scoped_release release;
    linear_backward<T>(arguments);
  });
}

}  // namespace

void add_linear_functions(py::module_& module) {
  using py::arg;
  module.def("linear_workspace_size", &workspace_size, arg("rows"), arg("input_size"), arg("output_size"),
             arg("itemsize"), "Bytes of the affine layer's workspace.");
  module.def("linear_forward", &run_forward, arg("weight"), arg("bias"), arg("x"), arg("y"), arg("workspace"),
             "y = x weight^T + bias.");
  module.def("linear_backward", &run_backward, arg("weight"), arg("x"), arg("dy"), arg("dx"), arg("dweight"),
             arg("dbias"), arg("workspace"),
             "Gradients of the affine layer; those of the weights are added.");
}

}  // namespace fastrnn::bindings
