// The cells by the names that Python gives them.
#pragma once

#include <pybind11/pybind11.h>

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

inline Cell cell_of(const std::string& name) {
  std::string known;
  for (const auto& [known_name, cell] : cell_names) {
    if (name == known_name) return cell;
    known += (known.empty() ? "" : ", ") + std::string(known_name);
  }
  throw pybind11::value_error("cell: expected one of " + known + ", got " + name);
}

}  // namespace fastrnn::bindings
