// The functions of a training step outside of the layers, over arrays.
#include "arrays.hpp"
#include "fastrnn/updates.h"
#include "functions.hpp"

namespace fastrnn::bindings {
namespace {

double run_sum_of_squares(const py::array& vector) {
  return with_scalar("vector", vector, [&](auto zero) {
    using T = decltype(zero);
    Views<T> views;
    const py::ssize_t count = vector.size();
    const T* const data = views.read_flat("vector", vector, {count});
    const py::gil_scoped_release release;
    return sum_of_squares<T>(data, count);
  });
}

void run_adam(const py::array& parameters, const py::array& gradients, const py::array& sum,
              const py::array& square_sum, double beta1, double beta2, double epsilon, double rate) {
  with_scalar("parameters", parameters, [&](auto zero) {
    using T = decltype(zero);
    Views<T> views;
    const py::ssize_t count = parameters.size();
    const AdamArguments<T> arguments{count,
                                     static_cast<T>(beta1),
                                     static_cast<T>(beta2),
                                     static_cast<T>(epsilon),
                                     static_cast<T>(rate),
                                     views.read_flat("gradients", gradients, {count}),
                                     views.write_flat("parameters", parameters, {count}),
                                     views.write_flat("sum", sum, {count}),
                                     views.write_flat("square_sum", square_sum, {count})};
    const py::gil_scoped_release release;
    adam<T>(arguments);
  });
}

// Labels where the weight is not zero are places in a row: one outside would be memory of others.
void require_labels(const std::int64_t* labels, const double* weights, py::ssize_t rows,
                    py::ssize_t classes) {
  for (py::ssize_t n = 0; n < rows; ++n) {
    if ((labels[n] < 0 || labels[n] >= classes) && (weights == nullptr || weights[n] != 0))
      throw py::value_error("labels[" + std::to_string(n) + "]: expected 0..C-1 = 0.." +
                            std::to_string(classes - 1) + ", got " + std::to_string(labels[n]));
  }
}

double run_softmax_cross_entropy(const py::array& scores, const py::array& labels,
                                 const OptionalArray& weights, const py::array& gradient) {
  return with_scalar("scores", scores, [&](auto zero) {
    using T = decltype(zero);
    if (scores.ndim() != 2 || scores.shape(1) < 1)
      throw py::value_error("scores: expected 2 axes (N, C) with C >= 1");
    const py::ssize_t N = scores.shape(0), C = scores.shape(1);
    Views<T> views;
    const CrossEntropyArguments<T> arguments{
        N,
        C,
        views.read_flat("scores", scores, {N, C}),
        views.template read_vector<std::int64_t>("labels", labels, N),
        weights ? views.template read_vector<double>("weights", *weights, N) : nullptr,
        views.write_flat("gradient", gradient, {N, C})};
    require_labels(arguments.labels, arguments.weights, N, C);
    const py::gil_scoped_release release;
    return softmax_cross_entropy<T>(arguments);
  });
}

}  // namespace

void add_update_functions(py::module_& module) {
  using py::arg;
  module.def("sum_of_squares", &run_sum_of_squares, arg("vector"), "In float64.");
  module.def("adam", &run_adam, arg("parameters"), arg("gradients"), arg("sum"), arg("square_sum"),
             arg("beta1"), arg("beta2"), arg("epsilon"), arg("rate"),
             "One step of Adam, with sums for means.");
  module.def("softmax_cross_entropy", &run_softmax_cross_entropy, arg("scores"), arg("labels"),
             arg("weights"), arg("gradient"), "Returns the weighted mean over rows and writes its gradient.");
}

}  // namespace fastrnn::bindings
