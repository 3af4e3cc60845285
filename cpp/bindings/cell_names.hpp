// The cells by the names that Python gives them.
#pragma once

#include <pybind11/pybind11.h>

#include <string>

#include "fastrnn/layer.h"

namespace fastrnn::bindings {

inline Cell cell_of(const std::string& name) {
  if (name == "lstm") return Cell::lstm;
  if (name == "gru") return Cell::gru;
  if (name == "gru_reset_before") return Cell::gru_reset_before;
  if (name == "rnn_tanh") return Cell::rnn_tanh;
  if (name == "rnn_relu") return Cell::rnn_relu;
  throw pybind11::value_error("cell: expected lstm, gru, gru_reset_before, rnn_tanh or rnn_relu, got " +
                              name);
}

}  // namespace fastrnn::bindings
