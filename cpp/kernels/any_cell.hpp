// From the contract's name of a cell to its type, once per call.
#pragma once

#include "cells/gru.hpp"
#include "cells/gru_reset_before.hpp"
#include "cells/independent_rnn.hpp"
#include "cells/lstm.hpp"
#include "cells/rnn.hpp"
#include "fastrnn/layer.h"

namespace fastrnn {

template <class C>
struct Type {
  using type = C;
};

// Calls visit(Type<the cell>).
template <class Visit>
constexpr auto with_cell(Cell cell, Visit&& visit) {
  switch (cell) {
    case Cell::rnn_tanh:
      return visit(Type<RnnTanh>{});
    case Cell::rnn_relu:
      return visit(Type<RnnRelu>{});
    case Cell::independent_rnn_tanh:
      return visit(Type<IndependentRnn<RnnTanh>>{});
    case Cell::independent_rnn_relu:
      return visit(Type<IndependentRnn<RnnRelu>>{});
    case Cell::gru:
      return visit(Type<Gru>{});
    case Cell::gru_reset_before:
      return visit(Type<GruResetBefore>{});
    case Cell::lstm_peephole:
      return visit(Type<LstmPeephole>{});
    case Cell::lstm_coupled:
      return visit(Type<LstmCoupled>{});
    case Cell::lstm_coupled_peephole:
      return visit(Type<LstmCoupledPeephole>{});
    case Cell::lstm:
      break;
  }
  return visit(Type<Lstm>{});
}

// Whether the contract says of a cell what its table says.
constexpr bool contract_agrees(Cell cell) {
  return with_cell(cell, [cell](auto type) {
    using C = typename decltype(type)::type;
    bool recurrent = false;
    for (const Section& section : C::sections) recurrent = recurrent || section.source != Source::input;
    return gates_of(cell) == C::gates && has_cell_state(cell) == C::has_cell_state &&
           unit_weights_of(cell) == static_cast<int>(C::unit_weights.size()) &&
           has_recurrent_matrix(cell) == recurrent;
  });
}
static_assert(contract_agrees(Cell::rnn_tanh) && contract_agrees(Cell::rnn_relu) &&
              contract_agrees(Cell::lstm) && contract_agrees(Cell::gru) &&
              contract_agrees(Cell::gru_reset_before) && contract_agrees(Cell::lstm_peephole) &&
              contract_agrees(Cell::lstm_coupled) && contract_agrees(Cell::lstm_coupled_peephole) &&
              contract_agrees(Cell::independent_rnn_tanh) && contract_agrees(Cell::independent_rnn_relu));

}  // namespace fastrnn
