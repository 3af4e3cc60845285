// The mask generator, for both scalar types.
#include "masks.hpp"

namespace fastrnn {

template <class T>
void bernoulli(const BernoulliArguments<T>& arguments) noexcept {
  run_bernoulli(arguments);
}

template void bernoulli<float>(const BernoulliArguments<float>&) noexcept;
template void bernoulli<double>(const BernoulliArguments<double>&) noexcept;

}  // namespace fastrnn
