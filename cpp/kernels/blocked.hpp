// Blocked lanes: how kernels see a matrix of rows x features. Features are cut into blocks as wide as a SIMD
// register; a block holds all rows side by side, so that a tile finds its rows at a constant distance and
// always whole registers. This is the only file where kernels read or write the caller's arrays.
#pragma once

#include <algorithm>

#include "lanes.hpp"

namespace fastrnn {

// Blocks of `lane_width` features needed for `features`.
template <class T>
constexpr Index lane_blocks(Index features) {
  return (features + lane_width<T> - 1) / lane_width<T>;
}

// Element (row, feature) is at data[block * block_stride + row * row_stride + lane]; row_stride is the lane
// width times the numbers kept per feature (1 for a state, the cell's blocks for gates). Lanes behind the
// last feature exist.
template <class T>
struct Blocked {
  T* data = nullptr;
  Index block_stride = 0;
  Index row_stride = 0;

  FASTRNN_INLINE T* at(Index block, Index row) const {
    return data + block * block_stride + row * row_stride;
  }
};

template <class T>
FASTRNN_INLINE Blocked<const T> constant(Blocked<T> b) {
  return {b.data, b.block_stride, b.row_stride};
}

// Rows of the caller's array: row r is at data + order[r] * row_stride, its features side by side.
template <class T>
struct Rows {
  T* data = nullptr;  // may be null where the caller has no such array
  Index row_stride = 0;
  const Index* order = nullptr;  // from the kernel's row to the caller's; null: the same

  FASTRNN_INLINE T* at(Index row) const { return data + (order ? order[row] : row) * row_stride; }
};

struct Range {
  Index begin = 0;
  Index end = 0;
};

template <class T>
constexpr Range all_blocks(Index features) {
  return {0, lane_blocks<T>(features)};
}

namespace detail {

// Calls visit(block, features of that block) for each block; all but the last are full.
template <class T, class Visit>
FASTRNN_INLINE void for_each_block(Index features, Visit&& visit) {
  const Index full = features / lane_width<T>;
  for (Index block = 0; block < full; ++block) visit(block, lane_width<T>);
  if (full * lane_width<T> < features) visit(full, features - full * lane_width<T>);
}

template <class T>
FASTRNN_INLINE Lanes<T> read(const T* from, Index count) {
  return count == lane_width<T> ? load_unaligned(from) : load_partial(from, count);
}
template <class T>
FASTRNN_INLINE void write(T* to, Lanes<T> v, Index count) {
  if (count == lane_width<T>)
    store_unaligned(to, v);
  else
    store_partial(to, v, count);
}

}  // namespace detail

// to = from; lanes behind the last feature become zero.
template <class T>
void gather(Rows<const T> from, Range rows, Index features, Blocked<T> to) {
  for (Index r = rows.begin; r < rows.end; ++r) {
    const T* source = from.at(r);
    detail::for_each_block<T>(features, [&](Index block, Index count) {
      store(to.at(block, r), detail::read(source + block * lane_width<T>, count));
    });
  }
}

// to += from.
template <class T>
void gather_add(Rows<const T> from, Range rows, Index features, Blocked<T> to) {
  for (Index r = rows.begin; r < rows.end; ++r) {
    const T* source = from.at(r);
    detail::for_each_block<T>(features, [&](Index block, Index count) {
      T* sum = to.at(block, r);
      store(sum, load(sum) + detail::read(source + block * lane_width<T>, count));
    });
  }
}

template <class T>
void scatter(Blocked<const T> from, Range rows, Index features, Rows<T> to) {
  for (Index r = rows.begin; r < rows.end; ++r) {
    T* target = to.at(r);
    detail::for_each_block<T>(features, [&](Index block, Index count) {
      detail::write(target + block * lane_width<T>, load(from.at(block, r)), count);
    });
  }
}

// Adds numbers to the first `count` <= width at `to`.
template <class T>
FASTRNN_INLINE void add_to(T* to, Lanes<T> v, Index count) {
  detail::write(to, detail::read<T>(to, count) + v, count);
}

template <class T>
void scatter_add(Blocked<const T> from, Range rows, Index features, Rows<T> to) {
  for (Index r = rows.begin; r < rows.end; ++r) {
    T* target = to.at(r);
    detail::for_each_block<T>(features, [&](Index block, Index count) {
      add_to(target + block * lane_width<T>, load(from.at(block, r)), count);
    });
  }
}

// The part of `blocked` and of the caller's array that lies in some blocks.
template <class T>
struct BlockRange {
  Blocked<T> blocked;
  Index first_feature;
  Index features;
};
template <class T>
BlockRange<T> take_blocks(Blocked<T> blocked, Range blocks, Index features) {
  const Index first = blocks.begin * lane_width<T>;
  const Index end = std::min(blocks.end * lane_width<T>, features);
  return {{blocked.at(blocks.begin, 0), blocked.block_stride, blocked.row_stride}, first, end - first};
}
template <class T>
Rows<T> skip_features(Rows<T> rows, Index count) {
  return {rows.data ? rows.data + count : nullptr, rows.row_stride, rows.order};
}

// words = from, rounded to bfloat16 in pairs: a block's row takes half a lane. Nothing where `words` has no
// data.
template <class T>
void round_to_words(Blocked<T> from, Range rows, Range blocks, Blocked<T> words) {
  if constexpr (std::is_same_v<T, float>) {
    if (!words.data) return;
    for (Index block = blocks.begin; block < blocks.end; ++block) {
      for (Index row = rows.begin; row < rows.end; ++row)
        store_bfloat16(words.at(block, row), load(from.at(block, row)));
    }
  }
}

template <class T>
void round_to_words(Blocked<T> from, Range rows, Index blocks, Blocked<T> words) {
  round_to_words(from, rows, Range{0, blocks}, words);
}

// Sets whole rows to zero in `blocks` blocks; `numbers` of a row are those in row_stride.
template <class T>
void clear(Blocked<T> to, Range rows, Index blocks) {
  if (rows.begin >= rows.end) return;
  for (Index block = 0; block < blocks; ++block) {
    T* first = to.at(block, rows.begin);
    for (Index i = 0; i < (rows.end - rows.begin) * to.row_stride; ++i) first[i] = T(0);
  }
}

}  // namespace fastrnn
