// A configuration file: a gateway or problems, never an exception; the same each time.

#include "common/config/load.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace holdfast;
using namespace holdfast::fuzz;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto first = config::load_text(text, "f");
  for (auto& p : first.problems)
    claim(!p.text.empty() && p.line >= 0 && p.column >= 0, "a problem says what and where");
  if (first.problems.empty())
    claim(!first.value.name.empty() && !first.value.classes.empty(), "without problems the value is complete");
  return 0;
}
