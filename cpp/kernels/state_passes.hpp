// What options do to states and their gradients between the cells of two steps: passes, element by element,
// over some rows and a member's own blocks of units. They read and write what the step has just left in the
// nearest cache, N x H numbers against its N x H x H multiply-adds.
#pragma once

#include <cmath>

#include "affine.hpp"
#include "arena.hpp"
#include "step.hpp"

namespace fastrnn {

template <class T>
Blocked<T> plain_view(T* data, Index rows) {
  return {data, rows * lane_width<T>, lane_width<T>};
}

// Some rows of some blocks of a state.
struct Part {
  Range rows;
  Range blocks;
};

template <class Visit>
FASTRNN_INLINE void for_each_packet(const Part& part, Visit&& visit) {
  for (Index block = part.blocks.begin; block < part.blocks.end; ++block)
    for (Index row = part.rows.begin; row < part.rows.end; ++row) visit(block, row);
}

// target = a * b
template <class T>
void multiply(Blocked<T> target, Blocked<T> a, Blocked<T> b, const Part& part) {
  for_each_packet(part, [&](Index block, Index row) {
    store(target.at(block, row), load(a.at(block, row)) * load(b.at(block, row)));
  });
}
// target += a * b
template <class T>
void add_product(Blocked<T> target, Blocked<T> a, Blocked<T> b, const Part& part) {
  for_each_packet(part, [&](Index block, Index row) {
    T* sum = target.at(block, row);
    store(sum, multiply_add(load(a.at(block, row)), load(b.at(block, row)), load(sum)));
  });
}
// target += a
template <class T>
void add(Blocked<T> target, Blocked<T> a, const Part& part) {
  for_each_packet(part, [&](Index block, Index row) {
    T* sum = target.at(block, row);
    store(sum, load(sum) + load(a.at(block, row)));
  });
}
template <class T>
void copy(Blocked<T> from, Blocked<T> to, const Part& part) {
  for_each_packet(part, [&](Index block, Index row) { store(to.at(block, row), load(from.at(block, row))); });
}

// Zoneout (Krueger et al. 2017, section 3): state = share * before + (1 - share) * candidate. Exactly one of
// the two where the share is 0 or 1.
template <class T>
void mix(Blocked<T> candidate, Blocked<T> before, Blocked<T> shares, Blocked<T> state, const Part& part) {
  for_each_packet(part, [&](Index block, Index row) {
    const Lanes<T> share = load(shares.at(block, row));
    store(state.at(block, row), multiply_add(Lanes<T>(T(1)) - share, load(candidate.at(block, row)),
                                             share * load(before.at(block, row))));
  });
}
// Its gradients: d becomes that of the candidate, `kept` that of the state before.
template <class T>
void split(Blocked<T> d, Blocked<T> shares, Blocked<T> kept, const Part& part) {
  for_each_packet(part, [&](Index block, Index row) {
    const Lanes<T> share = load(shares.at(block, row)), whole = load(d.at(block, row));
    store(kept.at(block, row), share * whole);
    store(d.at(block, row), (Lanes<T>(T(1)) - share) * whole);
  });
}

// Elements within -+limit.
template <class T>
void clamp(Blocked<T> d, T limit, const Part& part) {
  for_each_packet(part, [&](Index block, Index row) {
    T* numbers = d.at(block, row);
    for (Index lane = 0; lane < lane_width<T>; ++lane)
      numbers[lane] = std::min(std::max(numbers[lane], -limit), limit);
  });
}
// The norm of a row of one array, or of two as one vector; the second's data may be null. Lanes behind the
// last feature count for nothing: infinite inputs make NaN of them.
template <class T>
struct RowNorm {
  struct Array {
    Blocked<T> numbers;
    Index features;
  };
  Array first, second;

  T operator()(Index row) const {
    const T squares = sum_of_squares(row, T(1));
    if (std::isfinite(squares)) return std::sqrt(squares);
    const T largest = std::max(largest_of(first, row), largest_of(second, row));  // squares have overflowed
    return std::isfinite(largest) ? largest * std::sqrt(sum_of_squares(row, T(1) / largest)) : squares;
  }

 private:
  T sum_of_squares(Index row, T factor) const {
    Lanes<T> sum(T(0));
    for (const Array& array : {first, second}) {
      visit(array, row, [&](const T* numbers, Index count) {
        const Lanes<T> scaled = detail::read(numbers, count) * Lanes<T>(factor);
        sum = multiply_add(scaled, scaled, sum);
      });
    }
    alignas(alignment) T lanes[lane_width<T>];
    store(lanes, sum);
    T total(0);
    for (const T lane : lanes) total += lane;
    return total;
  }
  static T largest_of(const Array& array, Index row) {
    T largest(0);
    visit(array, row, [&](const T* numbers, Index count) {
      for (Index i = 0; i < count; ++i) largest = std::max(largest, std::abs(numbers[i]));
    });
    return largest;
  }
  template <class Visit>
  static void visit(const Array& array, Index row, const Visit& visit_block) {
    if (!array.numbers.data) return;
    detail::for_each_block<T>(
        array.features, [&](Index block, Index count) { visit_block(array.numbers.at(block, row), count); });
  }
};

template <class T>
void scale(Blocked<T> d, T factor, const Part& part) {
  for_each_packet(part, [&](Index block, Index row) {
    store(d.at(block, row), load(d.at(block, row)) * Lanes<T>(factor));
  });
}

// Clips a row's gradients as the options say: its elements, then its norm. Both arrays are written.
template <class T>
void clip(const CellOptions& options, const RowNorm<T>& norm, const Part& h_part, const Part& c_part,
          const Member& member) {
  const Blocked<T> dh = norm.first.numbers, dc = norm.second.numbers;
  if (options.gradient_clip_value > 0) {
    const T limit = static_cast<T>(options.gradient_clip_value);
    clamp(dh, limit, h_part);
    if (dc.data) clamp(dc, limit, c_part);
  }
  if (options.gradient_clip_norm <= 0) return;
  const T limit = static_cast<T>(options.gradient_clip_norm);
  // All members need all units of a row: a few rows' factors at a time, between two waits.
  constexpr Index most = 64;
  T factors[most];
  for_each_part(h_part.rows, most, [&](Index first, Index count) {
    member.wait();
    for (Index i = 0; i < count; ++i) {
      const T length = norm(first + i);
      factors[i] = length > limit ? limit / length : T(1);
    }
    member.wait();
    for (Index i = 0; i < count; ++i) {
      if (factors[i] == T(1)) continue;
      const Range row{first + i, first + i + 1};
      scale(dh, factors[i], {row, h_part.blocks});
      if (dc.data) scale(dc, factors[i], {row, c_part.blocks});
    }
  });
}

// The numbers of a mask over steps for the own part: the mask's of a step, or one rate for all.
template <class T>
class Shares {
 public:
  Shares(Arena& arena, bool masked, double rate, Index rows, Index features)
      : masked_(masked), acts_(masked || rate > 0), rows_(rows), features_(features) {
    place_ = arena.take<T>(!acts_   ? 0
                           : masked ? rows * lane_blocks<T>(features) * lane_width<T>
                                    : lane_width<T>);
    if (place_ && acts_ && !masked) std::fill_n(place_, lane_width<T>, static_cast<T>(rate));
  }

  bool acts() const { return acts_; }
  // Null data: no zoneout.
  Blocked<T> at(const Sequence<const T>& mask, Index time, const Index* order, const Part& part) const {
    if (!acts_) return {};
    if (!masked_) return {place_, 0, 0};
    const Blocked<T> shares{place_, rows_ * lane_width<T>, lane_width<T>};
    const BlockRange<T> own = take_blocks(shares, part.blocks, features_);
    const Rows<const T> from{mask.data + time * mask.step_stride, mask.batch_stride, order};
    gather(skip_features(from, own.first_feature), part.rows, own.features, own.blocked);
    return shares;
  }

 private:
  bool masked_, acts_;
  Index rows_, features_;
  T* place_;
};

// Calls visit(row) for those of `rows` whose state does not cross into the step at `time` from the step
// before, of which `continuing` rows have come.
template <class Visit>
void for_each_reset(const Sequence<const std::uint8_t>& resets, Index time, bool reverse, const Index* order,
                    Range rows, Index continuing, const Visit& visit) {
  if (!resets.data) return;
  // In reverse the boundary lies behind the step; rows that begin come from none.
  const Index boundary = reverse ? time + 1 : time;
  const Index end = reverse ? std::min(rows.end, continuing) : rows.end;
  for (Index row = rows.begin; row < end; ++row) {
    if (resets.data[order[row] * resets.batch_stride + boundary * resets.step_stride] != 0) visit(row);
  }
}

// The own blocks of a row become zero.
template <class T>
void clear_row(Blocked<T> state, Index row, Range blocks) {
  clear<T>({state.at(blocks.begin, 0), state.block_stride, state.row_stride}, {row, row + 1},
           blocks.end - blocks.begin);
}

// From what a step's cells have computed to the states after it: projection, zoneout. `shares_h` and
// `shares_c` are those of `Shares`.
template <class Cell, class T>
void finish_step(LayerDimensions size, const T* panels, const StepViews<T>& views, Blocked<T> shares_h,
                 Blocked<T> shares_c, Range rows, const Member& member, Range units, Range state_blocks,
                 Blocked<T> h_words) {
  const Part part{rows, state_blocks};
  if (size.projection > 0) {
    const PanelLayout<Cell, T> layout{size};
    member.wait();  // for the others' units of h
    multiply_affine<T>(layout.projection().size, panels + layout.forward_projection(), constant(views.h),
                       rows, views.h_next, member);
  }
  if constexpr (Cell::has_cell_state) {
    if (shares_c.data)
      mix(views.c, views.c_prev, shares_c, views.c_next, {rows, units});
    else if (views.c.data != views.c_next.data)
      copy(views.c, views.c_next, {rows, units});
  }
  if (shares_h.data) mix(views.h_next, views.h_prev, shares_h, views.h_next, part);
  if (size.projection > 0 || shares_h.data) round_to_words(views.h_next, rows, state_blocks, h_words);
}

}  // namespace fastrnn
