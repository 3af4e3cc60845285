// From the contract's name of a cell to its type, once per call.
#pragma once

#include "cells/gru.hpp"
#include "cells/gru_reset_before.hpp"
#include "cells/lstm.hpp"
#include "cells/rnn.hpp"
#include "fastrnn/layer.h"

namespace fastrnn {

template <class C>
struct Type {
  using type = C;
};

static_assert(gates_of(Cell::lstm) == Lstm::gates && gates_of(Cell::gru) == Gru::gates &&
              gates_of(Cell::gru_reset_before) == GruResetBefore::gates &&
              gates_of(Cell::rnn_tanh) == RnnTanh::gates && gates_of(Cell::rnn_relu) == RnnRelu::gates);

// Calls visit(Type<the cell>).
template <class Visit>
auto with_cell(Cell cell, Visit&& visit) {
  switch (cell) {
    case Cell::rnn_tanh:
      return visit(Type<RnnTanh>{});
    case Cell::rnn_relu:
      return visit(Type<RnnRelu>{});
    case Cell::gru:
      return visit(Type<Gru>{});
    case Cell::gru_reset_before:
      return visit(Type<GruResetBefore>{});
    case Cell::lstm:
      break;
  }
  return visit(Type<Lstm>{});
}

}  // namespace fastrnn
