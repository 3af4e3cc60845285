// From NumPy arrays to the contract's views. Judges memory only: what would read or write outside of an
// array, or overlap, is refused; what the numbers mean is judged in Python.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fastrnn/layer.h"

namespace fastrnn::bindings {

namespace py = pybind11;

using OptionalArray = std::optional<py::array>;
using Shape = std::initializer_list<py::ssize_t>;

// Bytes that an array may touch, with its name, to refuse overlaps.
class Overlaps {
 public:
  Overlaps() { spans_.reserve(24); }  // as many as a call has arrays
  void read(const char* name, const py::array& array) { add(name, array, false); }
  void write(const char* name, const py::array& array) { add(name, array, true); }

 private:
  struct Span {
    const char* name;
    std::intptr_t begin, end;
    bool written;
    std::intptr_t row, period;  // bytes: all its memory lies in rows at multiples of the period from `begin`
  };

  // Rows of two arrays may lie between each other's, as do the halves of an output of two directions.
  static bool lie_between(const Span& a, const Span& b) {
    const std::intptr_t period = std::gcd(a.period, b.period);
    if (period == 0) return false;
    const std::intptr_t apart = ((b.begin - a.begin) % period + period) % period;
    return apart >= a.row && apart + b.row <= period;
  }

  // Whether two elements may lie at one place: from the smallest stride up, an axis has to step over all
  // inner ones.
  static bool overlaps_itself(const py::array& array) {
    if (array.flags() & py::array::c_style) return false;
    std::vector<std::pair<py::ssize_t, py::ssize_t>> axes;  // |stride|, length
    for (py::ssize_t axis = 0; axis < array.ndim(); ++axis) {
      if (array.shape(axis) > 1) axes.emplace_back(std::abs(array.strides(axis)), array.shape(axis));
    }
    std::sort(axes.begin(), axes.end());
    py::ssize_t extent = array.itemsize();
    for (const auto& [step, length] : axes) {
      if (step < extent) return true;
      extent = step * (length - 1) + extent;
    }
    return false;
  }

  void add(const char* name, const py::array& array, bool written) {
    if (array.size() == 0) return;
    if (written && overlaps_itself(array))
      throw py::value_error(std::string(name) +
                            ": expected memory of its own for each element, got shared memory");
    const auto start = reinterpret_cast<std::intptr_t>(array.data());
    Span span{name, start, start + array.itemsize(), written, array.itemsize(), 0};
    for (py::ssize_t axis = 0; axis < array.ndim(); ++axis) {
      const std::intptr_t reach = array.strides(axis) * (array.shape(axis) - 1);
      (reach < 0 ? span.begin : span.end) += reach;
      if (axis == array.ndim() - 1 && array.strides(axis) == array.itemsize())
        span.row += reach;
      else if (array.shape(axis) > 1)
        span.period = std::gcd(span.period, std::intptr_t(array.strides(axis)));
    }
    for (const Span& other : spans_) {
      if ((written || other.written) && span.begin < other.end && other.begin < span.end &&
          !lie_between(span, other))
        throw py::value_error(std::string(name) + ": expected memory of its own, got memory shared with " +
                              other.name);
    }
    spans_.push_back(span);
  }

  std::vector<Span> spans_;
};

inline std::string shape_text(const py::ssize_t* shape, std::size_t axes) {
  std::string text = "(";
  for (std::size_t i = 0; i < axes; ++i) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return text + (axes == 1 ? ",)" : ")");
}

template <class T>
bool has_type(const py::array& array) {
  return py::isinstance<py::array_t<T>>(array);  // without a detour over Python's ==
}

// Elements of type T in native byte order, aligned, the last axis side by side, of the given shape.
template <class T>
void require(const char* name, const py::array& array, const Shape& shape) {
  if (!has_type<T>(array)) {
    throw py::type_error(std::string(name) + ": expected dtype " + std::string(py::str(py::dtype::of<T>())) +
                         ", got " + std::string(py::str(array.dtype())));
  }
  if (!std::equal(shape.begin(), shape.end(), array.shape(), array.shape() + array.ndim())) {
    throw py::value_error(std::string(name) + ": expected shape " + shape_text(shape.begin(), shape.size()) +
                          ", got " + shape_text(array.shape(), static_cast<std::size_t>(array.ndim())));
  }
  if (reinterpret_cast<std::uintptr_t>(array.data()) % alignof(T) != 0)
    throw py::value_error(std::string(name) + ": expected aligned elements, got an unaligned array");
  for (py::ssize_t axis = 0; axis < array.ndim(); ++axis) {
    if (array.shape(axis) > 1 && array.strides(axis) % static_cast<py::ssize_t>(sizeof(T)) != 0)
      throw py::value_error(std::string(name) + ": expected strides of whole elements, got others");
  }
  const py::ssize_t last = array.ndim() - 1;
  if (array.size() > 0 && array.shape(last) > 1 && array.strides(last) != static_cast<py::ssize_t>(sizeof(T)))
    throw py::value_error(std::string(name) +
                          ": expected the elements of the last axis side by side, got a stride of " +
                          std::to_string(array.strides(last)) + " bytes");
}

inline void require_writable(const char* name, const py::array& array) {
  if (!array.writeable())
    throw py::value_error(std::string(name) + ": expected a writable array, got a read-only one");
}

// A flat, contiguous array of at least `count` elements.
template <class T>
T* flat(const char* name, const py::array& array, std::size_t count, bool written) {
  require<T>(name, array, {array.size()});
  if (static_cast<std::size_t>(array.size()) < count) {
    throw py::value_error(std::string(name) + ": expected at least " + std::to_string(count) +
                          " elements, got " + std::to_string(array.size()));
  }
  if (written) require_writable(name, array);
  return static_cast<T*>(const_cast<void*>(array.data()));
}

// As `flat`, at an address that the kernels can load whole registers from.
template <class T>
T* aligned(const char* name, const py::array& array, std::size_t count, bool written) {
  T* data = flat<T>(name, array, count, written);
  if (reinterpret_cast<std::uintptr_t>(data) % alignment != 0)
    throw py::value_error(std::string(name) + ": expected an address aligned to " +
                          std::to_string(alignment) + " bytes");
  return data;
}

// Panels with weights in bfloat16 are arrays of uint32: each element holds two.
inline bool is_bfloat16(const py::array& panels) { return has_type<std::uint32_t>(panels); }

template <class T>
T* aligned_panels(const char* name, const py::array& array, std::size_t count, bool written) {
  if constexpr (std::is_same_v<T, float>) {
    if (is_bfloat16(array)) return reinterpret_cast<T*>(aligned<std::uint32_t>(name, array, count, written));
  }
  return aligned<T>(name, array, count, written);
}

template <class T>
std::ptrdiff_t stride(const py::array& array, py::ssize_t axis) {
  return array.strides(axis) / static_cast<py::ssize_t>(sizeof(T));
}

// Views of what a call reads and writes; each registers its memory with `overlaps`.
template <class T>
class Views {
 public:
  Sequence<const T> read(const char* name, const py::array& array, const Shape& shape) {
    require<T>(name, array, shape);
    overlaps_.read(name, array);
    return {static_cast<const T*>(array.data()), stride<T>(array, 0),
            shape.size() > 2 ? stride<T>(array, 1) : 0};
  }
  Sequence<T> write(const char* name, const py::array& array, const Shape& shape) {
    require<T>(name, array, shape);
    require_writable(name, array);
    overlaps_.write(name, array);
    return {static_cast<T*>(const_cast<void*>(array.data())), stride<T>(array, 0),
            shape.size() > 2 ? stride<T>(array, 1) : 0};
  }
  Sequence<const T> read(const char* name, const OptionalArray& array, const Shape& shape) {
    return array ? read(name, *array, shape) : Sequence<const T>{};
  }
  Sequence<T> write(const char* name, const OptionalArray& array, const Shape& shape) {
    return array ? write(name, *array, shape) : Sequence<T>{};
  }
  // Weights and their gradients: contiguous.
  const T* read_flat(const char* name, const py::array& array, const Shape& shape) {
    const Sequence<const T> view = read(name, array, shape);
    require_contiguous(name, array);
    return view.data;
  }
  T* write_flat(const char* name, const py::array& array, const Shape& shape) {
    const Sequence<T> view = write(name, array, shape);
    require_contiguous(name, array);
    return view.data;
  }
  const T* read_flat(const char* name, const OptionalArray& array, const Shape& shape) {
    return array ? read_flat(name, *array, shape) : nullptr;
  }
  T* write_flat(const char* name, const OptionalArray& array, const Shape& shape) {
    return array ? write_flat(name, *array, shape) : nullptr;
  }
  // A vector of elements of another type.
  template <class Element>
  const Element* read_vector(const char* name, const py::array& array, py::ssize_t count) {
    require<Element>(name, array, {count});
    require_contiguous(name, array);
    overlaps_.read(name, array);
    return static_cast<const Element*>(array.data());
  }
  const T* panels(const char* name, const py::array& array, std::size_t count) {
    overlaps_.read(name, array);
    return aligned_panels<T>(name, array, count, false);
  }
  // Those of a pass that has no kernel for bfloat16.
  const T* plain_panels(const char* name, const py::array& array, std::size_t count) {
    overlaps_.read(name, array);
    return aligned<T>(name, array, count, false);
  }
  T* written_panels(const char* name, const py::array& array, std::size_t count) {
    overlaps_.write(name, array);
    return aligned_panels<T>(name, array, count, true);
  }
  template <class Element = std::uint8_t>
  Element* scratch(const char* name, const py::array& array, std::size_t count) {
    overlaps_.write(name, array);
    return aligned<Element>(name, array, count, true);
  }
  Sequence<const std::uint8_t> bytes(const char* name, const OptionalArray& array, const Shape& shape) {
    if (!array) return {};
    require<std::uint8_t>(name, *array, shape);
    overlaps_.read(name, *array);
    return {static_cast<const std::uint8_t*>(array->data()), array->strides(0), array->strides(1)};
  }
  // Each one of 0..count - 1.
  Sequence<const std::int64_t> tokens(const OptionalArray& array, py::ssize_t batch, py::ssize_t steps,
                                      py::ssize_t count) {
    if (!array) return {};
    require<std::int64_t>("tokens", *array, {batch, steps, 1});
    overlaps_.read("tokens", *array);
    const Sequence<const std::int64_t> view{static_cast<const std::int64_t*>(array->data()),
                                            stride<std::int64_t>(*array, 0), stride<std::int64_t>(*array, 1)};
    for (py::ssize_t n = 0; n < batch; ++n) {
      for (py::ssize_t t = 0; t < steps; ++t) {
        const std::int64_t token = view.data[n * view.batch_stride + t * view.step_stride];
        if (token < 0 || token >= count)
          throw py::value_error("tokens: expected 0.." + std::to_string(count - 1) + ", got " +
                                std::to_string(token));
      }
    }
    return view;
  }
  const std::int64_t* lengths(const OptionalArray& array, py::ssize_t batch, py::ssize_t steps) {
    if (!array) return nullptr;
    require<std::int64_t>("lengths", *array, {batch});
    overlaps_.read("lengths", *array);
    const auto* values = static_cast<const std::int64_t*>(array->data());
    for (py::ssize_t n = 0; n < batch; ++n) {
      if (values[n] < 0 || values[n] > steps)
        throw py::value_error("lengths[" + std::to_string(n) + "]: expected 0..T = 0.." +
                              std::to_string(steps) + ", got " + std::to_string(values[n]));
    }
    return values;
  }

 private:
  static void require_contiguous(const char* name, const py::array& array) {
    if (!(array.flags() & py::array::c_style))
      throw py::value_error(std::string(name) + ": expected a C-contiguous array, got another layout");
  }

  Overlaps overlaps_;
};

template <class T>
Matrix<T> matrix(const Sequence<T>& view) {
  return {view.data, view.batch_stride};
}

// Calls visit(T{}) for the scalar type of `array`.
template <class Visit>
auto with_scalar(const char* name, const py::array& array, Visit&& visit) {
  if (has_type<float>(array)) return visit(float{});
  if (has_type<double>(array)) return visit(double{});
  throw py::type_error(std::string(name) + ": expected dtype float32 or float64, got " +
                       std::string(py::str(array.dtype())));
}

// The same for panels.
template <class Visit>
auto with_panels(const char* name, const py::array& panels, Visit&& visit) {
  return is_bfloat16(panels) ? visit(float{}) : with_scalar(name, panels, visit);
}

// The same for a type told by its size.
template <class Visit>
auto with_itemsize(py::ssize_t itemsize, Visit&& visit) {
  if (itemsize == 4) return visit(float{});
  if (itemsize == 8) return visit(double{});
  throw py::value_error("itemsize: expected 4 or 8, got " + std::to_string(itemsize));
}

}  // namespace fastrnn::bindings
