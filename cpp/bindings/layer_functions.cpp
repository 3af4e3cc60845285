// The recurrent layer's functions over arrays.
#include <cstring>
#include <type_traits>

#include "fastrnn/plan.h"
#include "functions.hpp"
#include "layer_arrays.hpp"

namespace fastrnn::bindings {
namespace {

constexpr Size bfloat16_bytes = 2;

// Below this, giving up the GIL and taking it again costs more than it gives others.
constexpr std::size_t bytes_worth_a_release = 1 << 18;

Pass pass_of(const std::string& name) {
  if (name == "forward") return Pass::forward;
  if (name == "backward") return Pass::backward;
  throw py::value_error("pass_name: expected forward or backward, got " + name);
}

// Calls visit(T{}) for the layer's scalar type, told by the size of a weight: two bytes are bfloat16.
template <class Visit>
auto with_weight_size(Size itemsize, Visit&& visit) {
  if (itemsize == bfloat16_bytes) return visit(float{});
  if (itemsize != 4 && itemsize != 8)
    throw py::value_error("itemsize: expected 2, 4 or 8, got " + std::to_string(itemsize));
  return with_itemsize(itemsize, visit);
}

std::size_t panel_elements(const std::string& pass_name, const CellKind& cell, Size input_size,
                           Size hidden_size, Size itemsize) {
  const LayerSize size = layer_size(cell, 0, 0, input_size, hidden_size, itemsize == bfloat16_bytes);
  return with_weight_size(itemsize,
                          [&](auto zero) { return panel_size<decltype(zero)>(pass_of(pass_name), size); });
}

void pack(const std::string& pass_name, const CellKind& cell, const py::array& weight_ih,
          const OptionalArray& weight_hh, const OptionalArray& bias_ih, const OptionalArray& bias_hh,
          const OptionalArray& unit_weights, const OptionalArray& weight_hr, const OptionalArray& layer_norm,
          const py::array& panels) {
  with_scalar("weight_ih", weight_ih, [&](auto zero) {
    using T = decltype(zero);
    const auto [I, H] = sizes_of("weight_ih", cell.cell, weight_ih);
    const LayerSize size = layer_size(cell, 0, 0, I, H, is_bfloat16(panels));
    const OptionalWeights others{weight_hh, bias_hh, unit_weights, weight_hr, layer_norm};
    require_weights(cell, "weight_hh, bias_hh, unit_weights", others);
    Views<T> views;
    const Weights<const T> weights = weight_views(views, size, weight_ih, bias_ih, others);
    const Pass pass = pass_of(pass_name);
    if (size.bfloat16 && pass == Pass::backward)
      throw py::value_error("panels: expected those of a forward pass, bfloat16 weights are for inference");
    T* out = views.written_panels("panels", panels, panel_size<T>(pass, size));
    const py::gil_scoped_release release;
    pack_panels<T>(pass, size, weights, out);
  });
}

bool same_bytes(const py::array& first, const py::array& second) {
  for (const py::array& array : {first, second}) {
    if (!(array.flags() & py::array::c_style))
      throw py::value_error("same_bytes: expected C-contiguous arrays, got another layout");
  }
  if (first.nbytes() != second.nbytes()) return false;
  const auto count = static_cast<std::size_t>(first.nbytes());
  const void *a = first.data(), *b = second.data();
  if (count < bytes_worth_a_release) return std::memcmp(a, b, count) == 0;
  const py::gil_scoped_release release;
  return std::memcmp(a, b, count) == 0;
}

std::size_t tape_size(const CellKind& cell, Size batch, Size steps, Size input_size, Size hidden_size,
                      const OptionalArray& lengths, Size itemsize, const KindsTuple& masks) {
  const LayerSize size =
      layer_size(cell, batch, steps, input_size, hidden_size, itemsize == bfloat16_bytes, mask_kinds(masks));
  return with_weight_size(itemsize, [&](auto zero) {
    using T = decltype(zero);
    return tape_bytes<T>(size, Views<T>().lengths(lengths, batch, steps));
  });
}

std::size_t workspace_size(const std::string& pass_name, bool with_tape, const CellKind& cell, Size batch,
                           Size steps, Size input_size, Size hidden_size, Size itemsize,
                           const KindsTuple& masks, Size num_embeddings) {
  const LayerSize size = layer_size(cell, batch, steps, input_size, hidden_size, itemsize == bfloat16_bytes,
                                    mask_kinds(masks), num_embeddings);
  return with_weight_size(itemsize, [&](auto zero) {
    using T = decltype(zero);
    return pass_of(pass_name) == Pass::forward ? forward_workspace_bytes<T>(size, with_tape)
                                               : backward_workspace_bytes<T>(size);
  });
}

template <class T>
ForwardArguments<T> forward_arguments(Views<T>& views, const CellKind& cell, const py::array& panels,
                                      const py::array& x, const OptionalArray& h0, const OptionalArray& c0,
                                      const OptionalArray& lengths, bool reverse, int threads,
                                      const py::array& y, const py::array& h_n, const OptionalArray& c_n,
                                      const OptionalArray& tape, const MasksTuple& masks,
                                      const py::array& workspace) {
  const auto [N, S] = batch_and_steps("x", x);
  batch_and_steps("y", y);
  const bool projected = cell.options.projection_size > 0;
  if (projected && (!c_n || c_n->ndim() != 2)) throw py::value_error("c_n: expected 2 axes (N, H)");
  const Size I = x.shape(2), H = projected ? c_n->shape(1) : y.shape(2);
  const LayerSize size = layer_size(cell, N, S, I, H, is_bfloat16(panels), kinds_of(masks));
  const Size state = state_size(size);
  require_cell_state(size.cell, "c0", c0, false);
  require_cell_state(size.cell, "c_n", c_n, true);
  if (size.bfloat16 && tape) throw py::value_error("tape: expected None, bfloat16 weights are for inference");
  const std::int64_t* valid = views.lengths(lengths, N, S);
  return {size,
          {valid, reverse, threads},
          views.panels("panels", panels, panel_size<T>(Pass::forward, size)),
          views.read("x", x, {N, S, I}),
          matrix(views.read("h0", h0, {N, state})),
          matrix(views.read("c0", c0, {N, H})),
          views.write("y", y, {N, S, state}),
          matrix(views.write("h_n", h_n, {N, state})),
          matrix(views.write("c_n", c_n, {N, H})),
          tape ? views.scratch("tape", *tape, tape_bytes<T>(size, valid)) : nullptr,
          views.scratch("workspace", workspace, forward_workspace_bytes<T>(size, tape.has_value())),
          masks_of(views, masks, size)};
}

void run_forward(const CellKind& cell, const py::array& panels, const py::array& x, const OptionalArray& h0,
                 const OptionalArray& c0, const OptionalArray& lengths, bool reverse, int threads,
                 const py::array& y, const py::array& h_n, const OptionalArray& c_n,
                 const OptionalArray& tape, const MasksTuple& masks, const py::array& workspace) {
  with_panels("panels", panels, [&](auto zero) {
    Views<decltype(zero)> views;
    const auto arguments = forward_arguments(views, cell, panels, x, h0, c0, lengths, reverse, threads, y,
                                             h_n, c_n, tape, masks, workspace);
    const py::gil_scoped_release release;  // pure pointer code from here; the arrays are held by the caller
    forward(arguments);
  });
}

template <class T>
BackwardArguments<T> backward_arguments(Views<T>& views, const CellKind& cell, const py::array& panels,
                                        const py::array& tape, const OptionalArray& dy,
                                        const OptionalArray& dh_n, const OptionalArray& dc_n, Size batch,
                                        Size steps, const OptionalArray& lengths, bool reverse, int threads,
                                        const OptionalArray& dx, bool add_to_dx, const py::array& dh0,
                                        const OptionalArray& dc0, const py::array& dweight_ih,
                                        const OptionalArray& dweight_hh, const OptionalArray& dbias_ih,
                                        const OptionalArray& dbias_hh, const OptionalArray& dunit_weights,
                                        const OptionalArray& dweight_hr, const OptionalArray& dlayer_norm,
                                        const OptionalArray& weight_sums, const MasksTuple& masks,
                                        const OptionalArray& tokens, const py::array& workspace) {
  const auto [I, H] = sizes_of("dweight_ih", cell.cell, dweight_ih);
  if (tokens && (!dx || dx->ndim() != 2 || dx->shape(0) < 1))
    throw py::value_error("dx: expected 2 axes (V, I) with tokens, V at least 1");
  const Size V = tokens ? dx->shape(0) : 0;
  const LayerSize size = layer_size(cell, batch, steps, I, H, false, kinds_of(masks), V);
  const OptionalWeights others{dweight_hh, dbias_hh, dunit_weights, dweight_hr, dlayer_norm};
  require_weights(cell, "dweight_hh, dbias_hh, dunit_weights", others);
  require_cell_state(size.cell, "dc_n", dc_n, false);
  require_cell_state(size.cell, "dc0", dc0, true);
  const Size state = state_size(size);
  const std::int64_t* valid = views.lengths(lengths, batch, steps);
  return {size,
          {valid, reverse, threads},
          views.plain_panels("panels", panels, panel_size<T>(Pass::backward, size)),
          views.scratch("tape", tape, tape_bytes<T>(size, valid)),
          views.read("dy", dy, {batch, steps, state}),
          matrix(views.read("dh_n", dh_n, {batch, state})),
          matrix(views.read("dc_n", dc_n, {batch, H})),
          tokens ? views.write("dx", *dx, {V, I}) : views.write("dx", dx, {batch, steps, I}),
          add_to_dx,
          matrix(views.write("dh0", dh0, {batch, state})),
          matrix(views.write("dc0", dc0, {batch, H})),
          gradient_views(views, size, dweight_ih, dbias_ih, others),
          views.scratch("workspace", workspace, backward_workspace_bytes<T>(size)),
          weight_sums
              ? views.template scratch<T>("weight_sums", *weight_sums, panel_size<T>(Pass::forward, size))
              : nullptr,
          masks_of(views, masks, size),
          views.tokens(tokens, batch, steps, V)};
}

void run_backward(const CellKind& cell, const py::array& panels, const py::array& tape,
                  const OptionalArray& dy, const OptionalArray& dh_n, const OptionalArray& dc_n, Size batch,
                  Size steps, const OptionalArray& lengths, bool reverse, int threads,
                  const OptionalArray& dx, bool add_to_dx, const py::array& dh0, const OptionalArray& dc0,
                  const py::array& dweight_ih, const OptionalArray& dweight_hh, const OptionalArray& dbias_ih,
                  const OptionalArray& dbias_hh, const OptionalArray& dunit_weights,
                  const OptionalArray& dweight_hr, const OptionalArray& dlayer_norm,
                  const OptionalArray& weight_sums, const MasksTuple& masks, const OptionalArray& tokens,
                  const py::array& workspace) {
  with_scalar("panels", panels, [&](auto zero) {
    Views<decltype(zero)> views;
    const auto arguments =
        backward_arguments(views, cell, panels, tape, dy, dh_n, dc_n, batch, steps, lengths, reverse, threads,
                           dx, add_to_dx, dh0, dc0, dweight_ih, dweight_hh, dbias_ih, dbias_hh, dunit_weights,
                           dweight_hr, dlayer_norm, weight_sums, masks, tokens, workspace);
    const py::gil_scoped_release release;
    backward(arguments);
  });
}

void run_add_weight_sums(const CellKind& cell, const py::array& weight_sums, const py::array& dweight_ih,
                         const OptionalArray& dweight_hh, const OptionalArray& dbias_ih,
                         const OptionalArray& dbias_hh, const OptionalArray& dunit_weights,
                         const OptionalArray& dweight_hr, const OptionalArray& dlayer_norm) {
  with_scalar("weight_sums", weight_sums, [&](auto zero) {
    using T = decltype(zero);
    const auto [I, H] = sizes_of("dweight_ih", cell.cell, dweight_ih);
    const LayerSize size = layer_size(cell, 0, 0, I, H);
    const OptionalWeights others{dweight_hh, dbias_hh, dunit_weights, dweight_hr, dlayer_norm};
    require_weights(cell, "dweight_hh, dbias_hh, dunit_weights", others);
    Views<T> views;
    const T* sums = views.plain_panels("weight_sums", weight_sums, panel_size<T>(Pass::forward, size));
    const Weights<T> dweights = gradient_views(views, size, dweight_ih, dbias_ih, others);
    const py::gil_scoped_release release;
    add_weight_sums<T>(size, sums, dweights);
  });
}

// The arguments of one of several calls: a tuple of what the call alone takes.
template <class... Parameters>
std::tuple<std::decay_t<Parameters>...> tuple_for(void (*)(Parameters...));
using ForwardCall = decltype(tuple_for(&run_forward));
using BackwardCall = decltype(tuple_for(&run_backward));

// The views of all calls; what one writes, no other may touch.
template <class T, class Call, class View>
auto views_of_all(const std::vector<Call>& calls, const View& view) {
  Views<T> views;
  std::vector<decltype(view(views, calls.front()))> all;
  for (const Call& call : calls) all.push_back(view(views, call));
  return all;
}

template <class Call>
const py::array& panels_of_first(const std::vector<Call>& calls) {
  if (calls.empty()) throw py::value_error("calls: expected at least one, got none");
  return std::get<1>(calls.front());
}

void run_forward_side_by_side(const std::vector<ForwardCall>& calls) {
  with_panels("panels", panels_of_first(calls), [&](auto zero) {
    using T = decltype(zero);
    const auto all = views_of_all<T>(calls, [](Views<T>& views, const ForwardCall& call) {
      return std::apply([&](const auto&... a) { return forward_arguments(views, a...); }, call);
    });
    const py::gil_scoped_release release;
    forward_side_by_side(all.data(), static_cast<int>(all.size()));
  });
}

void run_backward_side_by_side(const std::vector<BackwardCall>& calls) {
  with_scalar("panels", panels_of_first(calls), [&](auto zero) {
    using T = decltype(zero);
    const auto all = views_of_all<T>(calls, [](Views<T>& views, const BackwardCall& call) {
      return std::apply([&](const auto&... a) { return backward_arguments(views, a...); }, call);
    });
    const py::gil_scoped_release release;
    backward_side_by_side(all.data(), static_cast<int>(all.size()));
  });
}

bool side_by_side(const std::string& pass_name, const std::vector<std::tuple<CellKind, Size, Size>>& layers,
                  Size batch, Size steps, const OptionalArray& lengths, int threads, Size itemsize) {
  std::vector<LayerSize> sizes;
  for (const auto& [cell, input_size, hidden_size] : layers)
    sizes.push_back(layer_size(cell, batch, steps, input_size, hidden_size));
  return with_itemsize(itemsize, [&](auto zero) {
    using T = decltype(zero);
    return side_by_side_wins<T>(pass_of(pass_name), sizes.data(), static_cast<int>(sizes.size()),
                                Views<T>().lengths(lengths, batch, steps), threads);
  });
}

py::dict plan_of(const CellKind& cell, Size batch, Size steps, Size input_size, Size hidden_size, int threads,
                 Size itemsize) {
  const LayerSize size = layer_size(cell, batch, steps, input_size, hidden_size, itemsize == bfloat16_bytes);
  return with_weight_size(itemsize, [&](auto zero) {
    const Plan plan = explain_plan<decltype(zero)>(size, threads);
    py::dict d;
    d["split"] = plan.split == Split::rows ? "rows" : "units";
    d["threads"] = plan.threads;
    d["hoisted"] = plan.hoisted;
    d["hoisted_rows"] = plan.hoisted_rows;
    d["tile_rows"] = plan.tile_rows;
    d["tile_packets"] = plan.tile_packets;
    d["multiply_adds"] = plan.multiply_adds;
    d["bfloat16"] = plan.bfloat16_dot ? "dot product" : "widened";
    return d;
  });
}

}  // namespace

void add_layer_functions(py::module_& module) {
  using py::arg;
  module.def("panel_size", &panel_elements, arg("pass_name"), arg("cell"), arg("input_size"),
             arg("hidden_size"), arg("itemsize"), "Elements of the panels of one pass.");
  module.def("pack", &pack, arg("pass_name"), arg("cell"), arg("weight_ih"), arg("weight_hh"), arg("bias_ih"),
             arg("bias_hh"), arg("unit_weights"), arg("weight_hr") = py::none(),
             arg("layer_norm") = py::none(), arg("panels"), "Pack weights into panels for one pass.");
  module.def("same_bytes", &same_bytes, arg("first"), arg("second"),
             "Whether two arrays hold the same bits.");
  module.def("tape_size", &tape_size, arg("cell"), arg("batch"), arg("steps"), arg("input_size"),
             arg("hidden_size"), arg("lengths"), arg("itemsize"), arg("masks") = KindsTuple{},
             "Bytes of a tape.");
  module.def("workspace_size", &workspace_size, arg("pass_name"), arg("with_tape"), arg("cell"), arg("batch"),
             arg("steps"), arg("input_size"), arg("hidden_size"), arg("itemsize"),
             arg("masks") = KindsTuple{}, arg("num_embeddings") = 0, "Bytes of a workspace.");
  module.def("explain_plan", &plan_of, arg("cell"), arg("batch"), arg("steps"), arg("input_size"),
             arg("hidden_size"), arg("threads"), arg("itemsize"), "How a dense forward pass will be run.");
  module.def("forward", &run_forward, arg("cell"), arg("panels"), arg("x"), arg("h0"), arg("c0"),
             arg("lengths"), arg("reverse"), arg("threads"), arg("y"), arg("h_n"), arg("c_n"), arg("tape"),
             arg("masks") = py::none(), arg("workspace"),
             "Run a sequence; fill the tape where one is given.");
  module.def("backward", &run_backward, arg("cell"), arg("panels"), arg("tape"), arg("dy"), arg("dh_n"),
             arg("dc_n"), arg("batch"), arg("steps"), arg("lengths"), arg("reverse"), arg("threads"),
             arg("dx"), arg("add_to_dx"), arg("dh0"), arg("dc0"), arg("dweight_ih"), arg("dweight_hh"),
             arg("dbias_ih"), arg("dbias_hh"), arg("dunit_weights"), arg("dweight_hr") = py::none(),
             arg("dlayer_norm") = py::none(), arg("weight_sums"), arg("masks") = py::none(),
             arg("tokens") = py::none(), arg("workspace"),
             "Back-propagate through a sequence; use up the tape.");
  module.def("add_weight_sums", &run_add_weight_sums, arg("cell"), arg("weight_sums"), arg("dweight_ih"),
             arg("dweight_hh"), arg("dbias_ih"), arg("dbias_hh"), arg("dunit_weights"),
             arg("dweight_hr") = py::none(), arg("dlayer_norm") = py::none(),
             "Add sums over several calls of backward to the gradients of the weights.");
  module.def("side_by_side", &side_by_side, arg("pass_name"), arg("layers"), arg("batch"), arg("steps"),
             arg("lengths"), arg("threads"), arg("itemsize"),
             "Whether calls for these layers are done sooner side by side, one thread each.");
  module.def("forward_side_by_side", &run_forward_side_by_side, arg("calls"),
             "Run several calls of forward, each a tuple of its arguments, side by side.");
  module.def("backward_side_by_side", &run_backward_side_by_side, arg("calls"),
             "Run several calls of backward, each a tuple of its arguments, side by side.");
}

}  // namespace fastrnn::bindings
