#include "options.hpp"

#include <map>
#include <sstream>

#include "points.hpp"

namespace bench {

const char* const usage =
    "kernel_bench [--cell lstm,gru,gru_reset_before,rnn_tanh,rnn_relu,lstm_peephole,lstm_coupled,\n"
    "                      lstm_coupled_peephole,independent_rnn_tanh,independent_rnn_relu]\n"
    "             [--dtype float32,float64,bfloat16]\n"
    "             [--pass inference,training,step] [--threads 1,2,...] [POINT | N T I H] ...\n"
    "  Points are named in bench/cases.py; without any, all of them. Defaults: lstm, float32, all passes, "
    "one thread.\n  step: of a stream, where T is 1, on one thread.\n"
    "  bfloat16: weights only, not in training.\n";

namespace {

const std::map<std::string, fastrnn::Cell> cells{
    {"rnn_tanh", fastrnn::Cell::rnn_tanh},
    {"rnn_relu", fastrnn::Cell::rnn_relu},
    {"lstm", fastrnn::Cell::lstm},
    {"gru", fastrnn::Cell::gru},
    {"gru_reset_before", fastrnn::Cell::gru_reset_before},
    {"lstm_peephole", fastrnn::Cell::lstm_peephole},
    {"lstm_coupled", fastrnn::Cell::lstm_coupled},
    {"lstm_coupled_peephole", fastrnn::Cell::lstm_coupled_peephole},
    {"independent_rnn_tanh", fastrnn::Cell::independent_rnn_tanh},
    {"independent_rnn_relu", fastrnn::Cell::independent_rnn_relu},
};
const std::map<std::string, Work> passes{
    {"inference", Work::inference}, {"training", Work::training}, {"step", Work::step}};
const std::map<std::string, std::string> dtypes{
    {"float32", "float32"}, {"float64", "float64"}, {"bfloat16", "bfloat16"}};

std::int64_t positive_number(const std::string& what, const std::string& text) {
  const bool digits = text.find_first_not_of("0123456789") == std::string::npos;
  const std::int64_t number = digits && text.size() >= 1 && text.size() <= 9 ? std::stoll(text) : 0;
  if (number < 1) throw BadArgument(what + ": expected a number from 1 to 999999999, got " + text);
  return number;
}

template <class Value>
const Value& known(const std::string& what, const std::map<std::string, Value>& values,
                   const std::string& name) {
  const auto found = values.find(name);
  if (found != values.end()) return found->second;
  std::string names;
  for (const auto& value : values) names += (names.empty() ? "" : ", ") + value.first;
  throw BadArgument(what + ": expected " + names + ", got " + name);
}

struct Size {
  std::string name;
  std::int64_t batch, steps, input_size, hidden_size;
};

struct Choices {
  std::vector<std::string> cell_names{"lstm"}, dtype_names{"float32"},
      pass_names{"inference", "training", "step"}, threads{"1"};
  std::vector<Size> sizes;
};

Size named_size(const std::string& name) {
  std::string names;
  for (const Point& point : points) {
    if (name == point.name) return {name, point.batch, point.steps, point.input_size, point.hidden_size};
    names += std::string(", ") + point.name;
  }
  throw BadArgument("sizes: expected N T I H" + names + ", got " + name);
}

Size size_of_numbers(const std::vector<std::string>& texts) {
  if (texts.size() != 4)
    throw BadArgument("sizes: expected four numbers N T I H, got " + std::to_string(texts.size()));
  std::int64_t numbers[4];
  for (int i = 0; i < 4; ++i) numbers[i] = positive_number("sizes", texts[i]);
  return {texts[0] + "_" + texts[1] + "_" + texts[2] + "_" + texts[3], numbers[0], numbers[1], numbers[2],
          numbers[3]};
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

// Arguments as --name value or --name=value, and sizes in between.
Choices choices_of(std::vector<std::string> arguments) {
  Choices choices;
  const std::map<std::string, std::vector<std::string>*> lists{{"--cell", &choices.cell_names},
                                                               {"--dtype", &choices.dtype_names},
                                                               {"--pass", &choices.pass_names},
                                                               {"--threads", &choices.threads}};
  for (std::size_t i = 0; i < arguments.size();) {
    const std::string argument = arguments[i++];
    if (argument.rfind("--", 0) == 0) {
      const std::size_t equals = argument.find('=');
      auto& list = *known("arguments", lists, argument.substr(0, equals));
      if (equals == std::string::npos && i == arguments.size())
        throw BadArgument(argument + ": expected a value");
      list = split(equals == std::string::npos ? arguments[i++] : argument.substr(equals + 1));
    } else if (argument.find_first_not_of("0123456789") == std::string::npos) {
      std::vector<std::string> numbers{argument};
      while (numbers.size() < 4 && i < arguments.size()) numbers.push_back(arguments[i++]);
      choices.sizes.push_back(size_of_numbers(numbers));
    } else {
      choices.sizes.push_back(named_size(argument));
    }
  }
  if (choices.sizes.empty())
    for (const Point& point : points) choices.sizes.push_back(named_size(point.name));
  return choices;
}

}  // namespace

std::vector<Problem> read_arguments(int argc, char** argv) {
  const Choices choices = choices_of({argv + 1, argv + argc});
  std::vector<Problem> problems;
  for (const Size& size : choices.sizes)
    for (const std::string& cell : choices.cell_names)
      for (const std::string& dtype : choices.dtype_names)
        for (const std::string& pass : choices.pass_names)
          for (const std::string& threads : choices.threads) {
            const auto count = static_cast<int>(positive_number("--threads", threads));
            if (dtype == "bfloat16" && pass == "training") continue;
            if (pass == "step" && (size.steps != 1 || count != 1)) continue;
            problems.push_back({size.name + "/" + cell + "/" + dtype + "/" + pass +
                                    (count == 1 ? "" : "/threads_" + threads),
                                {known("--cell", cells, cell), size.batch, size.steps, size.input_size,
                                 size.hidden_size, dtype == "bfloat16"},
                                known("--dtype", dtypes, dtype),
                                known("--pass", passes, pass),
                                count});
          }
  if (problems.empty()) throw BadArgument("arguments: there is nothing with these sizes, dtypes and passes");
  return problems;
}

}  // namespace bench
