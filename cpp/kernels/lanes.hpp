// Lanes: as many numbers as one SIMD register holds. The only file that touches Eigen's internals or an
// intrinsic.
#pragma once

#include <Eigen/Core>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

#define FASTRNN_INLINE inline __attribute__((always_inline))
#define FASTRNN_LAMBDA __attribute__((always_inline))

namespace fastrnn {

using Index = std::ptrdiff_t;

template <class T>
struct Lanes {
  using Scalar = T;
  using Packet = typename Eigen::internal::packet_traits<T>::type;
  static constexpr Index width = Eigen::internal::unpacket_traits<Packet>::size;

  Packet packet;

  Lanes() = default;
  FASTRNN_INLINE Lanes(Packet p) : packet(p) {}  // NOLINT: a lane is its packet
  FASTRNN_INLINE Lanes(T value)
      : packet(Eigen::internal::pset1<Packet>(value)) {}  // NOLINT: constants broadcast
};

template <class T>
inline constexpr Index lane_width = Lanes<T>::width;

// Vector registers of the instruction set: bounds how many sums a tile may keep.
#if defined(__AVX512F__) || defined(__aarch64__)
inline constexpr int vector_registers = 32;
#else
inline constexpr int vector_registers = 16;
#endif

// The scalar type of a lane type; `float` and `double` are lane types of width one, for tests.
template <class V>
struct ScalarOf {
  using type = V;
};
template <class T>
struct ScalarOf<Lanes<T>> {
  using type = T;
};
template <class V>
using scalar_of = typename ScalarOf<V>::type;

// Calls f(0), f(1), ... f(count - 1) with compile-time constants. Tiles need this: with plain loops and
// unroll pragmas GCC 12 kept the sums in memory and a tile ran at 30 to 62 instead of 95 to 105 GFLOP/s.
template <class F, std::size_t... i>
FASTRNN_INLINE void unroll_over(F&& f, std::index_sequence<i...>) {
  (f(std::integral_constant<int, static_cast<int>(i)>{}), ...);
}
template <int count, class F>
FASTRNN_INLINE void unroll(F&& f) {
  unroll_over(std::forward<F>(f), std::make_index_sequence<count>{});
}

// ---- memory

template <class T>
FASTRNN_INLINE Lanes<T> load(const T* aligned) {
  return Eigen::internal::pload<typename Lanes<T>::Packet>(aligned);
}
template <class T>
FASTRNN_INLINE void store(T* aligned, Lanes<T> v) {
  Eigen::internal::pstore(aligned, v.packet);
}
template <class T>
FASTRNN_INLINE Lanes<T> load_unaligned(const T* p) {
  return Eigen::internal::ploadu<typename Lanes<T>::Packet>(p);
}
template <class T>
FASTRNN_INLINE void store_unaligned(T* p, Lanes<T> v) {
  Eigen::internal::pstoreu(p, v.packet);
}
template <class T>
FASTRNN_INLINE Lanes<T> broadcast(const T* p) {
  return Eigen::internal::pset1<typename Lanes<T>::Packet>(*p);
}

// Holds the compiler to one load: GCC otherwise folds it into each instruction that uses it, and a tile of
// three rows is then bound by its loads (AVX-512, Zen 4: 3.9 cycles a packet instead of 3.1).
template <class T>
FASTRNN_INLINE void keep_in_register(Lanes<T>& v) {
#if defined(__AVX512F__)
  asm("" : "+v"(v.packet));
#elif defined(__x86_64__)
  asm("" : "+x"(v.packet));
#elif defined(__aarch64__)
  asm("" : "+w"(v.packet));
#else
  (void)v;
#endif
}

// Makes the compiler load again what it has loaded through `p` before.
template <class T>
FASTRNN_INLINE void forget_loads(const T*& p) {
  asm("" : "+r"(p));
}

// Loads `count` < width numbers and fills the rest; reads nothing behind them.
template <class T>
FASTRNN_INLINE Lanes<T> load_partial(const T* p, Index count, T fill = 0) {
  alignas(64) T buffer[lane_width<T>];
  for (T& number : buffer) number = fill;
  for (Index i = 0; i < count; ++i) buffer[i] = p[i];
  return load(buffer);
}
// Stores the first `count` < width numbers; writes nothing behind them.
template <class T>
FASTRNN_INLINE void store_partial(T* p, Lanes<T> v, Index count) {
  alignas(64) T buffer[lane_width<T>];
  store(buffer, v);
  for (Index i = 0; i < count; ++i) p[i] = buffer[i];
}

#if defined(__AVX512F__)
FASTRNN_INLINE Lanes<float> load_partial(const float* p, Index count, float fill = 0) {
  return _mm512_mask_loadu_ps(_mm512_set1_ps(fill), static_cast<__mmask16>((1u << count) - 1u), p);
}
FASTRNN_INLINE Lanes<double> load_partial(const double* p, Index count, double fill = 0) {
  return _mm512_mask_loadu_pd(_mm512_set1_pd(fill), static_cast<__mmask8>((1u << count) - 1u), p);
}
FASTRNN_INLINE void store_partial(float* p, Lanes<float> v, Index count) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << count) - 1u), v.packet);
}
FASTRNN_INLINE void store_partial(double* p, Lanes<double> v, Index count) {
  _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << count) - 1u), v.packet);
}
#endif

// Transposes a square of width x width numbers: to[j * to_stride + i] = from[i * from_stride + j].
template <class T>
FASTRNN_INLINE void transpose_square(const T* from, Index from_stride, T* to, Index to_stride) {
  Eigen::internal::PacketBlock<typename Lanes<T>::Packet, static_cast<int>(lane_width<T>)> block;
  unroll<static_cast<int>(lane_width<T>)>(
      [&](auto i) { block.packet[i] = load_unaligned(from + i * from_stride).packet; });
  Eigen::internal::ptranspose(block);
  unroll<static_cast<int>(lane_width<T>)>(
      [&](auto i) { store_unaligned(to + i * to_stride, Lanes<T>(block.packet[i])); });
}

// ---- arithmetic on lanes

template <class T>
FASTRNN_INLINE Lanes<T> operator+(Lanes<T> a, Lanes<T> b) {
  return Eigen::internal::padd(a.packet, b.packet);
}
template <class T>
FASTRNN_INLINE Lanes<T> operator-(Lanes<T> a, Lanes<T> b) {
  return Eigen::internal::psub(a.packet, b.packet);
}
template <class T>
FASTRNN_INLINE Lanes<T> operator*(Lanes<T> a, Lanes<T> b) {
  return Eigen::internal::pmul(a.packet, b.packet);
}
template <class T>
FASTRNN_INLINE Lanes<T> operator/(Lanes<T> a, Lanes<T> b) {
  return Eigen::internal::pdiv(a.packet, b.packet);
}
// a * b + c; one rounding where the instruction set has it (x86-64-v2 has not), everywhere alike within one
// module.
template <class T>
FASTRNN_INLINE Lanes<T> multiply_add(Lanes<T> a, Lanes<T> b, Lanes<T> c) {
  return Eigen::internal::pmadd(a.packet, b.packet, c.packet);
}
// The sum of all lanes, in one order.
template <class T>
FASTRNN_INLINE T horizontal_sum(Lanes<T> a) {
  return Eigen::internal::predux(a.packet);
}
// The larger of two lane by lane, and the largest of all lanes; either operand where one is NaN.
template <class T>
FASTRNN_INLINE Lanes<T> larger(Lanes<T> a, Lanes<T> b) {
  return Eigen::internal::pmax(a.packet, b.packet);
}
template <class T>
FASTRNN_INLINE T horizontal_largest(Lanes<T> a) {
  return Eigen::internal::predux_max(a.packet);
}
// -|a|
template <class T>
FASTRNN_INLINE Lanes<T> negative_absolute(Lanes<T> a) {
  return Eigen::internal::por(a.packet, Lanes<T>(T(-0.0)).packet);
}
// max(a, bound) and min(a, bound), keeping NaN: Eigen returns its first operand where one is NaN (x86) or NaN
// (NEON).
template <class T>
FASTRNN_INLINE Lanes<T> at_least(Lanes<T> a, T bound) {
  return Eigen::internal::pmax(a.packet, Lanes<T>(bound).packet);
}
template <class T>
FASTRNN_INLINE Lanes<T> at_most(Lanes<T> a, T bound) {
  return Eigen::internal::pmin(a.packet, Lanes<T>(bound).packet);
}
// `yes` where a > 0, else 0.
template <class T>
FASTRNN_INLINE Lanes<T> where_positive(Lanes<T> a, Lanes<T> yes) {
  const Lanes<T> zero(T(0));
  return Eigen::internal::pand(Eigen::internal::pcmp_lt(zero.packet, a.packet), yes.packet);
}
// `yes` where low < a < high or a is NaN, else 0.
template <class T>
FASTRNN_INLINE Lanes<T> where_between(Lanes<T> a, T low, T high, Lanes<T> yes) {
  namespace eigen = Eigen::internal;
  return eigen::pandnot(yes.packet, eigen::por(eigen::pcmp_le(a.packet, Lanes<T>(low).packet),
                                               eigen::pcmp_le(Lanes<T>(high).packet, a.packet)));
}
template <class T>
FASTRNN_INLINE T first_number(Lanes<T> a) {
  return Eigen::internal::pfirst(a.packet);
}
// |a| with the sign of `sign`.
template <class T>
FASTRNN_INLINE Lanes<T> with_sign_of(Lanes<T> a, Lanes<T> sign) {
  const Lanes<T> sign_bit(T(-0.0));
  return Eigen::internal::por(Eigen::internal::pabs(a.packet),
                              Eigen::internal::pand(sign.packet, sign_bit.packet));
}
// Adding this to a number below 2^22 (double: 2^51) rounds it to the nearest integer, ties to even, which
// then stands in the low bits of the sum.
template <class T>
inline constexpr T rounding_shift = sizeof(T) == 4 ? T(12582912.0) : T(6755399441055744.0);

// The exponent e limited to those of normal numbers, keeping NaN, where the next two verbs need that.
template <class T>
FASTRNN_INLINE Lanes<T> limited_exponent(Lanes<T> e) {
  return at_most(at_least(e, T(std::numeric_limits<T>::min_exponent)),
                 T(std::numeric_limits<T>::max_exponent - 1));
}
// A number as whole + rest, whole the nearest integer, in the form that scale_by_power_of_two takes.
template <class V>
struct WholeAndRest {
  V whole;
  V rest;
};
template <class T>
FASTRNN_INLINE WholeAndRest<Lanes<T>> split_whole(Lanes<T> limited) {
  const Lanes<T> shift(rounding_shift<T>), shifted = limited + shift;
  return {shifted, limited - (shifted - shift)};
}
// a * 2^whole; NaN where either is (adding to the exponent would lose some).
template <class T>
FASTRNN_INLINE Lanes<T> scale_by_power_of_two(Lanes<T> a, Lanes<T> shifted) {
  using Packet = typename Lanes<T>::Packet;
  using Unsigned = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  using Bits __attribute__((vector_size(sizeof(Packet)))) = Unsigned;
  constexpr int mantissa_bits = std::numeric_limits<T>::digits - 1;
  return a * Lanes<T>(Packet((Bits(shifted.packet) << mantissa_bits) + Bits(Lanes<T>(T(1)).packet)));
}

// A word holds two weights in bfloat16, the upper half of a float's bits: the even one below, the odd one
// above.
FASTRNN_INLINE Lanes<float> widen_even(Lanes<float> words) {
  using Bits __attribute__((vector_size(sizeof(words.packet)))) = std::uint32_t;
  return Lanes<float>::Packet(Bits(words.packet) << 16);
}
FASTRNN_INLINE Lanes<float> widen_odd(Lanes<float> words) {
  using Bits __attribute__((vector_size(sizeof(words.packet)))) = std::uint32_t;
  return Lanes<float>::Packet(Bits(words.packet) & 0xffff0000u);
}

// Products in bfloat16, two a lane: sum + even * even + odd * odd in float (AVX512-BF16). As assembly,
// because the module serves processors without it too (the assemblers of GCC and clang take any instruction);
// ask has_bfloat16_dot first.
#if defined(__AVX512F__)
inline bool has_bfloat16_dot() {
  static const bool has = __builtin_cpu_supports("avx512bf16");
  return has;
}
FASTRNN_INLINE Lanes<float> dot_add(Lanes<float> words, Lanes<float> other, Lanes<float> sum) {
  asm("vdpbf16ps %2, %1, %0" : "+v"(sum.packet) : "v"(words.packet), "v"(other.packet));
  return sum;
}
// A lane's numbers rounded to bfloat16, side by side in half a lane.
FASTRNN_INLINE void store_bfloat16(float* aligned, Lanes<float> v) {
  __m256i rounded;
  asm("vcvtneps2bf16 %1, %0" : "=v"(rounded) : "v"(v.packet));
  _mm256_store_si256(reinterpret_cast<__m256i*>(aligned), rounded);
}
#else
inline bool has_bfloat16_dot() { return false; }
FASTRNN_INLINE Lanes<float> dot_add(Lanes<float>, Lanes<float>, Lanes<float> sum) { return sum; }
FASTRNN_INLINE void store_bfloat16(float*, Lanes<float>) {}
#endif

#if defined(__AVX512F__) && defined(__AVX512DQ__)
// One instruction for each verb, infinities included: beside multiply-adds they are free on Zen 4, where they
// run in the units that add.
FASTRNN_INLINE Lanes<float> limited_exponent(Lanes<float> e) { return e; }
FASTRNN_INLINE Lanes<double> limited_exponent(Lanes<double> e) { return e; }
FASTRNN_INLINE WholeAndRest<Lanes<float>> split_whole(Lanes<float> a) {
  const Lanes<float> rest = _mm512_reduce_ps(a.packet, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  return {a - rest, rest};
}
FASTRNN_INLINE WholeAndRest<Lanes<double>> split_whole(Lanes<double> a) {
  const Lanes<double> rest = _mm512_reduce_pd(a.packet, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  return {a - rest, rest};
}
FASTRNN_INLINE Lanes<float> scale_by_power_of_two(Lanes<float> a, Lanes<float> whole) {
  return _mm512_scalef_ps(a.packet, whole.packet);
}
FASTRNN_INLINE Lanes<double> scale_by_power_of_two(Lanes<double> a, Lanes<double> whole) {
  return _mm512_scalef_pd(a.packet, whole.packet);
}

// Eigen 3.4 turns AVX-512 masks into full registers and back: these say it in one instruction each.
FASTRNN_INLINE Lanes<float> with_sign_of(Lanes<float> a, Lanes<float> sign) {
  const __m512i bit = _mm512_set1_epi32(static_cast<int>(0x80000000u));  // 0xca: bit ? sign : a
  return _mm512_castsi512_ps(
      _mm512_ternarylogic_epi32(bit, _mm512_castps_si512(sign.packet), _mm512_castps_si512(a.packet), 0xca));
}
FASTRNN_INLINE Lanes<double> with_sign_of(Lanes<double> a, Lanes<double> sign) {
  const __m512i bit = _mm512_set1_epi64(static_cast<long long>(0x8000000000000000ull));
  return _mm512_castsi512_pd(
      _mm512_ternarylogic_epi64(bit, _mm512_castpd_si512(sign.packet), _mm512_castpd_si512(a.packet), 0xca));
}
FASTRNN_INLINE Lanes<float> where_positive(Lanes<float> a, Lanes<float> yes) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a.packet, _mm512_setzero_ps(), _CMP_GT_OQ), yes.packet);
}
FASTRNN_INLINE Lanes<double> where_positive(Lanes<double> a, Lanes<double> yes) {
  return _mm512_maskz_mov_pd(_mm512_cmp_pd_mask(a.packet, _mm512_setzero_pd(), _CMP_GT_OQ), yes.packet);
}
FASTRNN_INLINE Lanes<float> where_between(Lanes<float> a, float low, float high, Lanes<float> yes) {
  const __mmask16 above = _mm512_cmp_ps_mask(a.packet, _mm512_set1_ps(low), _CMP_NLE_UQ);
  return _mm512_maskz_mov_ps(_mm512_mask_cmp_ps_mask(above, a.packet, _mm512_set1_ps(high), _CMP_NGE_UQ),
                             yes.packet);
}
FASTRNN_INLINE Lanes<double> where_between(Lanes<double> a, double low, double high, Lanes<double> yes) {
  const __mmask8 above = _mm512_cmp_pd_mask(a.packet, _mm512_set1_pd(low), _CMP_NLE_UQ);
  return _mm512_maskz_mov_pd(_mm512_mask_cmp_pd_mask(above, a.packet, _mm512_set1_pd(high), _CMP_NGE_UQ),
                             yes.packet);
}
#endif

// ---- the same verbs on one number, so that cells can be tested on `float` and `double`
// ----------------------------

template <class T>
using if_scalar = std::enable_if_t<std::is_floating_point_v<T>, T>;

template <class T>
FASTRNN_INLINE if_scalar<T> multiply_add(T a, T b, T c) {
  return std::fma(a, b, c);
}
template <class T>
FASTRNN_INLINE if_scalar<T> negative_absolute(T a) {
  return -std::abs(a);
}
template <class T>
FASTRNN_INLINE if_scalar<T> at_least(T a, T bound) {
  return a < bound ? bound : a;
}
template <class T>
FASTRNN_INLINE if_scalar<T> where_positive(T a, T yes) {
  return a > T(0) ? yes : T(0);
}
template <class T>
FASTRNN_INLINE if_scalar<T> where_between(T a, T low, T high, T yes) {
  return a <= low || a >= high ? T(0) : yes;
}
template <class T>
FASTRNN_INLINE if_scalar<T> first_number(T a) {
  return a;
}
template <class T>
FASTRNN_INLINE if_scalar<T> at_most(T a, T bound) {
  return bound < a ? bound : a;
}
template <class T>
FASTRNN_INLINE if_scalar<T> with_sign_of(T a, T sign) {
  return std::copysign(a, sign);
}
template <class T>
FASTRNN_INLINE if_scalar<T> limited_exponent(T e) {
  return at_most(at_least(e, T(std::numeric_limits<T>::min_exponent)),
                 T(std::numeric_limits<T>::max_exponent - 1));
}
template <class T>
FASTRNN_INLINE WholeAndRest<if_scalar<T>> split_whole(T limited) {
  const T whole = std::nearbyint(limited);
  return {whole, limited - whole};
}
template <class T>
FASTRNN_INLINE if_scalar<T> scale_by_power_of_two(T a, T whole) {
  return a * std::exp2(whole);
}

}  // namespace fastrnn
