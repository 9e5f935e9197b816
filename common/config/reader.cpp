// The visitor that fills the structs from the tree.

#include "common/config/fields.hpp"
#include "common/config/load.hpp"
#include "common/config/units.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

namespace holdfast::config::detail {

namespace {

/// What all readers of one file share.
struct context {
  places& where;
  report& to;
};

bool within(const rule& r, std::int64_t value) {
  return (!r.least || value >= *r.least) && (!r.most || value <= *r.most);
}

/// Sets a field from the text of a scalar; false when the text is not what the field expects.
struct scalar_setter {
  const std::string& text;
  const rule& limits;

  bool operator()(bool* to) const {
    *to = text == "true";
    return text == "true" || text == "false";
  }

  bool operator()(std::string* to) const {
    *to = text;
    return allows(limits, text);
  }

  bool operator()(unsigned* to) const { return whole(to); }
  bool operator()(std::uint16_t* to) const { return whole(to); }
  bool operator()(std::uint64_t* to) const { return whole(to); }

  bool operator()(double* to) const {
    const auto* end = text.data() + text.size();
    auto [rest, error] = std::from_chars(text.data(), end, *to);
    return error == std::errc{} && rest == end && std::isfinite(*to)
           && (!limits.least || *to >= static_cast<double>(*limits.least))
           && (!limits.most || *to <= static_cast<double>(*limits.most));
  }

  bool operator()(bytes* to) const {
    auto value = parse_bytes(text);
    return value && in_limits(value->count) && (*to = *value, true);
  }

  bool operator()(endpoint* to) const {
    auto value = parse_endpoint(text);
    return value && (*to = *value, true);
  }

  bool operator()(milliseconds* to) const {
    auto value = parse_duration(text);
    return value && within(limits, value->count()) && (*to = *value, true);
  }

  bool operator()(seconds* to) const {
    milliseconds value{};
    return (*this)(&value) && (*to = std::chrono::floor<seconds>(value)) == value;
  }

  bool operator()(const word_ref& to) const {
    auto row = std::find_if(to.words.begin(), to.words.end(), [this](const word& w) { return w.text == text; });
    return row != to.words.end() && (to.set(row->value), true);
  }

  // Not scalars: the reader has refused the node before.
  bool operator()(std::vector<std::string>*) const { return false; }
  bool operator()(const object_ref&) const { return false; }
  bool operator()(const list_ref&) const { return false; }

private:
  bool in_limits(std::uint64_t value) const {
    return value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())
           && within(limits, static_cast<std::int64_t>(value));
  }

  template <class T>
  bool whole(T* to) const {
    auto value = parse_number(text);
    if (!value || *value > std::numeric_limits<T>::max() || !in_limits(*value))
      return false;
    *to = static_cast<T>(*value);
    return true;
  }
};

std::string description(const node& n) {
  switch (n.kind) {
    case node::type::null: return "nothing";
    case node::type::scalar: return quoted(n.text);
    case node::type::sequence: return n.items.empty() ? "an empty list" : "a list";
    case node::type::map: return "a map";
  }
  return {};
}

void read_object(const node& from, const object_ref& into, context& c);

/// Reads one map; its fields arrive through the visitor interface.
class map_reader : public visitor {
public:
  map_reader(const node& from, context& c) : from_(from), context_(c) {}

  void field(const field_info& info, value_ref value) override {
    const auto* found = find(info.key);
    if (!found) {
      if (info.need == presence::required)
        context_.to.add(from_.at, "missing key " + quoted(info.key) + ": expected " + expectation(value, info.limits));
      return;
    }
    read_value(*found, info, value);
  }

  void choose(std::string_view key, std::string_view, std::string_view standard,
              std::vector<alternative> alternatives) override {
    const auto* found = find(key);
    if (!found && standard.empty())
      context_.to.add(from_.at, "missing key " + quoted(key) + ": expected one of " + listed(alternatives));
    const std::string chosen = found ? found->text : std::string{standard};
    for (const auto& a : alternatives) {
      if (a.word == chosen) {
        shape_ = chosen;
        a.fields(*this);
        return;
      }
    }
    if (found && !found->broken)
      complain(key, *found, "one of " + listed(alternatives));
    shape_known_ = false;
  }

  bool wants(std::string_view key) override { return find(key) != nullptr; }

  /// To be called after all fields: keys that nobody asked for.
  void report_unknown_keys() const {
    if (!shape_known_)
      return; // which keys are right depends on the shape, whose problem has been reported
    for (const auto& key : from_.keys) {
      if (std::find(known_.begin(), known_.end(), key.text) != known_.end())
        continue;
      const auto shape = shape_.empty() ? "" : " for type " + shape_;
      context_.to.add(key.at, "unknown key " + quoted(key.text) + shape + suggestion(key.text, known_));
    }
  }

private:
  static std::string listed(const std::vector<alternative>& alternatives) {
    std::string result;
    for (const auto& a : alternatives)
      result += (result.empty() ? "" : ", ") + std::string{a.word};
    return result;
  }

  const node* find(std::string_view key) {
    known_.emplace_back(key);
    for (std::size_t i = 0; i < from_.keys.size() && i < from_.items.size(); ++i)
      if (from_.keys[i].text == key)
        return &from_.items[i];
    return nullptr;
  }

  void complain(std::string_view key, const node& found, const std::string& expected) {
    context_.to.add(found.at, std::string{key} + ": expected " + expected + ", found " + description(found));
  }

  void read_value(const node& found, const field_info& info, const value_ref& value) {
    if (const auto* object = std::get_if<object_ref>(&value))
      read_nested(found, info, *object);
    else if (const auto* list = std::get_if<list_ref>(&value))
      read_list(found, info, *list);
    else if (auto* const* texts = std::get_if<std::vector<std::string>*>(&value))
      read_texts(found, info, **texts);
    else
      read_scalar(found, info, value);
  }

  void read_scalar(const node& found, const field_info& info, const value_ref& value) {
    if (found.broken)
      return;
    std::visit(
      [&](const auto& target) {
        if constexpr (std::is_pointer_v<std::decay_t<decltype(target)>>)
          context_.where[target] = found.at;
      },
      value);
    if (found.kind != node::type::scalar || !std::visit(scalar_setter{found.text, info.limits}, value))
      complain(info.key, found, expectation(value, info.limits));
  }

  // A section whose keys are all commented out is a section with every default.
  void read_nested(const node& found, const field_info& info, const object_ref& into) {
    if (found.broken)
      return;
    context_.where[into.self] = found.at;
    if (found.kind == node::type::map || found.kind == node::type::null)
      read_object(found, into, context_);
    else
      complain(info.key, found, expectation(into, info.limits));
  }

  bool is_list(const node& found, const field_info& info, const std::string& expected) {
    if (found.broken)
      return false;
    const bool good = found.kind == node::type::sequence || found.kind == node::type::null;
    if (!good || (info.limits.least && found.items.empty()))
      complain(info.key, found, expected);
    return good;
  }

  void read_list(const node& found, const field_info& info, const list_ref& into) {
    if (!is_list(found, info, expectation(into, info.limits)))
      return;
    into.resize(found.items.size());
    for (std::size_t i = 0; i < found.items.size(); ++i)
      read_nested(found.items[i], info, into.at(i));
  }

  void read_texts(const node& found, const field_info& info, std::vector<std::string>& into) {
    if (!is_list(found, info, expectation(&into, info.limits)))
      return;
    into.resize(found.items.size());
    for (std::size_t i = 0; i < found.items.size(); ++i)
      read_scalar(found.items[i], info, &into[i]);
  }

  const node& from_;
  context& context_;
  std::vector<std::string> known_;
  std::string shape_;
  bool shape_known_ = true;
};

void read_object(const node& from, const object_ref& into, context& c) {
  // Before the fields: the first field has the same address, and its own place is the better one.
  c.where[into.self] = from.at;
  map_reader reader{from, c};
  into.fields(reader);
  reader.report_unknown_keys();
}

} // namespace

void read(const node& root, gateway& into, places& where, report& to) {
  context c{where, to};
  read_object(root, object_reference(into), c);
  for (auto& s : into.sources)
    s.line = where[&s].line;
}

} // namespace holdfast::config::detail
