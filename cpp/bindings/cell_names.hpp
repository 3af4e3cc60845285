// The cells and their options by the names that Python gives them.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <string>
#include <utility>

#include "fastrnn/layer.h"

namespace fastrnn::bindings {

inline constexpr std::pair<const char*, Cell> cell_names[] = {
    {"rnn_tanh", Cell::rnn_tanh},
    {"rnn_relu", Cell::rnn_relu},
    {"lstm", Cell::lstm},
    {"gru", Cell::gru},
    {"gru_reset_before", Cell::gru_reset_before},
    {"lstm_peephole", Cell::lstm_peephole},
    {"lstm_coupled", Cell::lstm_coupled},
    {"lstm_coupled_peephole", Cell::lstm_coupled_peephole},
    {"independent_rnn_tanh", Cell::independent_rnn_tanh},
    {"independent_rnn_relu", Cell::independent_rnn_relu},
};

inline constexpr std::pair<const char*, Activation> activation_names[] = {
    {"sigmoid", Activation::sigmoid},     {"tanh", Activation::tanh},
    {"relu", Activation::relu},           {"hard_sigmoid", Activation::hard_sigmoid},
    {"hard_tanh", Activation::hard_tanh}, {"softsign", Activation::softsign},
    {"identity", Activation::identity},
};

template <class Value, std::size_t count>
Value named(const char* argument, const std::pair<const char*, Value> (&names)[count],
            const std::string& name) {
  std::string known;
  for (const auto& [known_name, value] : names) {
    if (name == known_name) return value;
    known += (known.empty() ? "" : ", ") + std::string(known_name);
  }
  throw pybind11::value_error(std::string(argument) + ": expected one of " + known + ", got " + name);
}

// A cell with its options; Python makes one from a name alone too.
struct CellKind {
  Cell cell;
  CellOptions options;
};

inline CellKind plain_cell(const std::string& name) { return {named("cell", cell_names, name), {}}; }

}  // namespace fastrnn::bindings
