// The activations and clips that cells compute with: those of the cells' plain equations, known to the
// compiler, or those that CellOptions choose at run time. Derivatives are written in the activation's value,
// which is what the tape keeps.
#pragma once

#include <algorithm>
#include <limits>
#include <optional>

#include "../activations.hpp"
#include "fastrnn/layer.h"

namespace fastrnn {

struct PlainFunctions {
  struct Sigmoid {
    template <class V>
    FASTRNN_INLINE V operator()(V a) const {
      return sigmoid(a);
    }
    template <class V>
    FASTRNN_INLINE V derivative(V value) const {
      return sigmoid_derivative(value);
    }
  };
  struct Tanh {
    template <class V>
    FASTRNN_INLINE V operator()(V a) const {
      return hyperbolic_tangent(a);
    }
    template <class V>
    FASTRNN_INLINE V derivative(V value) const {
      return tanh_derivative(value);
    }
  };
  struct Rectifier {
    template <class V>
    FASTRNN_INLINE V operator()(V a) const {
      return fastrnn::rectifier(a);
    }
    template <class V>
    FASTRNN_INLINE V backward(V value, V dvalue) const {
      return rectifier_backward(value, dvalue);
    }
  };

  static constexpr int most_rows = 4;  // whose cells are computed side by side
  static constexpr Sigmoid gate{};
  static constexpr Tanh candidate{}, output{};
  static constexpr Rectifier rectifier{};

  template <class V>
  FASTRNN_INLINE V cell_state(V c) const {
    return c;
  }
  template <class V>
  FASTRNN_INLINE V cell_state_backward(V, V dc) const {
    return dc;
  }
};

// An activation of numbers that are clipped first.
template <class T>
class ChosenFunction {
  static constexpr T infinity = std::numeric_limits<T>::infinity();
  struct Line {
    T slope, offset;

    template <class V>
    FASTRNN_INLINE V at(V x) const {
      return multiply_add(V(slope), x, V(offset));
    }
  };

 public:
  // `lane` says on which lanes, or on which number, the function will be computed; clip 0: none.
  template <class V>
  ChosenFunction(Activation activation, double clip, V lane) : kind(activation) {
    const auto set_line = [this](Line by, T low, T high) {
      line = by, lowest = low, highest = high;
      first_factor = {0, by.slope}, second_factor = {0, 1};
    };
    switch (activation) {
      case Activation::sigmoid:
        first_factor = {1, 1}, second_factor = {-1, 0};  // v (1 - v)
        break;
      case Activation::tanh:
        first_factor = {1, 1}, second_factor = {-1, 1};  // (1 - |v|) (1 + |v|)
        break;
      case Activation::softsign:
        first_factor = second_factor = {1, 1};  // (1 - |v|)^2
        break;
      case Activation::hard_sigmoid:
        set_line({T(0.2), T(0.5)}, 0, 1);
        break;
      case Activation::hard_tanh:
        set_line({1, 0}, -1, 1);
        break;
      case Activation::relu:
        set_line({1, 0}, 0, infinity);
        break;
      case Activation::identity:
        set_line({1, 0}, -infinity, infinity);
        break;
    }
    if (clip > 0) {
      clip_at = static_cast<T>(clip);
      // By the instructions of the forward pass, so that clipped values are found by comparing with them.
      lowest = std::max(lowest, first_number((*this)(lane = V(-clip_at))));
      highest = std::min(highest, first_number((*this)(lane = V(clip_at))));
    }
  }

  template <class V>
  FASTRNN_INLINE V operator()(V a) const {
    a = at_most(at_least(a, -clip_at), clip_at);
    switch (kind) {
      case Activation::sigmoid:
        return sigmoid(a);
      case Activation::tanh:
        return hyperbolic_tangent(a);
      case Activation::softsign:
        return softsign(a);
      default:
        return at_most(at_least(line.at(a), lowest), highest);
    }
  }

  // Zero where the value is the lowest or the highest: there the function, or what it sees, was cut off.
  template <class V>
  FASTRNN_INLINE V derivative(V value) const {
    const V m = negative_absolute(value);
    return where_between(value, lowest, highest, first_factor.at(m) * second_factor.at(m));
  }
  template <class V>
  FASTRNN_INLINE V backward(V value, V dvalue) const {
    return dvalue * derivative(value);
  }

 private:
  Activation kind;
  T clip_at = infinity;
  Line line{};                               // of those that are lines, cut off
  T lowest = -infinity, highest = infinity;  // values
  // The derivative is the product of two lines in -|value|, of which sigmoid and softsign have one sign.
  Line first_factor{}, second_factor{};
};

template <class T>
struct ChosenFunctions {
  static constexpr int most_rows = 2;

  ChosenFunction<T> gate, candidate, output, rectifier;
  T cell_clip;

  // Not inlined: a step of a stream, which may take 150 ns, asks for it each time.
  template <class V>
  __attribute__((noinline)) ChosenFunctions(const CellOptions& options, V lane)
      : gate(options.gate_activation, options.activation_clip, lane),
        candidate(options.candidate_activation, options.activation_clip, lane),
        output(options.output_activation, 0, lane),
        rectifier(Activation::relu, options.activation_clip, lane),
        cell_clip(options.cell_clip > 0 ? static_cast<T>(options.cell_clip)
                                        : std::numeric_limits<T>::infinity()) {}

  template <class V>
  FASTRNN_INLINE V cell_state(V c) const {
    return at_most(at_least(c, -cell_clip), cell_clip);
  }
  // The gradient of c before it was clipped.
  template <class V>
  FASTRNN_INLINE V cell_state_backward(V c, V dc) const {
    return where_between(c, -cell_clip, cell_clip, dc);
  }
};

// None where the options leave the cells' plain equations as they are.
template <class T>
std::optional<ChosenFunctions<T>> chosen_functions(const CellOptions& options) {
  const CellOptions plain;
  if (options.gate_activation == plain.gate_activation &&
      options.candidate_activation == plain.candidate_activation &&
      options.output_activation == plain.output_activation && options.activation_clip == 0 &&
      options.cell_clip == 0)
    return std::nullopt;
  return ChosenFunctions<T>(options, Lanes<T>());
}

}  // namespace fastrnn
