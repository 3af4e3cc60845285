// Reading a layer's tape into arrays.
#include "functions.hpp"
#include "layer_arrays.hpp"

namespace fastrnn::bindings {
namespace {

void run_read_tape(const CellKind& cell, const py::array& tape, py::ssize_t input_size,
                   const OptionalArray& lengths, bool reverse, const MasksTuple& masks,
                   const OptionalArray& c, const py::array& gates, const py::array& workspace) {
  with_scalar("gates", gates, [&](auto zero) {
    using T = decltype(zero);
    const py::ssize_t G = gates_of(cell.cell);
    if (gates.ndim() != 3 || gates.shape(2) % G != 0)
      throw py::value_error("gates: expected 3 axes (N, T, G*H) with G = " + std::to_string(G));
    const py::ssize_t N = gates.shape(0), S = gates.shape(1), H = gates.shape(2) / G;
    const LayerSize size = layer_size(cell, N, S, input_size, H, false, kinds_of(masks));
    if (c && !has_cell_state(size.cell)) throw py::value_error("c: expected None, this cell has no c");
    Views<T> views;
    const std::int64_t* valid = views.lengths(lengths, N, S);
    const ReadTapeArguments<T> arguments{
        size,
        {valid, reverse, 1},
        views.scratch("tape", tape, tape_bytes<T>(size, valid)),
        views.write("c", c, {N, S, H}),
        views.write("gates", gates, {N, S, G * H}),
        views.scratch("workspace", workspace, forward_workspace_bytes<T>(size, true)),
        masks_of(views, masks, size)};
    const py::gil_scoped_release release;
    read_tape(arguments);
  });
}

}  // namespace

void add_tape_functions(py::module_& module) {
  using py::arg;
  module.def("read_tape", &run_read_tape, arg("cell"), arg("tape"), arg("input_size"), arg("lengths"),
             arg("reverse"), arg("masks"), arg("c"), arg("gates"), arg("workspace"),
             "Copy c and the gates of all steps from a tape.");
}

}  // namespace fastrnn::bindings
