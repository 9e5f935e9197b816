// The visitor that describes the fields as JSON Schema. It visits a default gateway, so defaults come from the structs.

#include "common/config/fields.hpp"
#include "common/config/load.hpp"
#include "common/config/units.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace holdfast::config {

namespace {

using json = nlohmann::ordered_json;

/// Every scalar may come from the environment, whose value an editor cannot know.
constexpr std::string_view environment = "\\$\\{";

std::string pattern(const std::string& text) { return "^(" + text + ")$|" + std::string{environment}; }

json typed(const char* type) { return {{"type", json::array({type, "string"})}, {"pattern", environment}}; }

json whole_number(const rule& r) {
  auto result = typed("integer");
  result["minimum"] = r.least.value_or(0);
  if (r.most)
    result["maximum"] = *r.most;
  return result;
}

json text(const rule& r) {
  if (!r.words.empty())
    return {{"anyOf", {{{"enum", r.words}}, {{"type", "string"}, {"pattern", environment}}}}};
  json result{{"type", "string"}};
  if (r.text == text_rule::filled)
    result["minLength"] = 1;
  if (r.text == text_rule::name)
    result["pattern"] = pattern(std::string{name_pattern});
  if (r.text == text_rule::stream) // the lookahead is the limit on the length of the whole
    result["pattern"] = pattern("(?=.{1,64}$)" + std::string{stream_pattern});
  if (r.text == text_rule::interface)
    result["pattern"] = pattern(std::string{interface_pattern});
  if (r.text == text_rule::address)
    result["pattern"] = pattern(std::string{address_pattern});
  return result;
}

json duration(const std::string& units) {
  return {{"type", json::array({"string", "integer"})},
          {"pattern", pattern("0|[0-9]+(" + units + ")")},
          {"minimum", 0}, // the one number that needs no unit
          {"maximum", 0}};
}

/// Words that are numbers are numbers in YAML, too.
json spelled(std::string_view w) {
  if (auto number = parse_number(w))
    return *number;
  return w;
}

json words_schema(std::span<const word> words) {
  json allowed = json::array();
  for (const auto& w : words)
    allowed.push_back(spelled(w.text));
  return {{"anyOf", {{{"enum", allowed}}, {{"type", "string"}, {"pattern", environment}}}}};
}

json object_schema(const object_ref& object);

/// The schema of a value, without documentation and default.
struct schema_of {
  const rule& r;
  json operator()(bool*) const { return typed("boolean"); }
  json operator()(std::string*) const { return text(r); }
  json operator()(unsigned*) const { return whole_number(r); }
  json operator()(std::uint16_t*) const { return whole_number(r); }
  json operator()(std::uint64_t*) const { return whole_number(r); }

  json operator()(double*) const {
    auto result = typed("number");
    if (r.least)
      result["minimum"] = *r.least;
    return result;
  }

  json operator()(bytes*) const {
    auto result = whole_number(r);
    result["pattern"] = pattern("[0-9]+([kKMGT]B|[KMGT]iB|B)?");
    return result;
  }

  json operator()(endpoint*) const {
    return {{"type", "string"}, {"pattern", pattern("(\\[[0-9A-Za-z:.%_-]+\\]|[A-Za-z0-9._-]+):[0-9]{1,5}")}};
  }

  json operator()(milliseconds*) const { return duration("ms|s|min|h|d"); }
  json operator()(seconds*) const { return duration("ms|s|min|h|d"); }

  json operator()(std::vector<std::string>*) const {
    return {{"type", json::array({"array", "null"})}, {"items", text(r)}};
  }

  json operator()(const word_ref& w) const { return words_schema(w.words); }

  json operator()(const object_ref& o) const {
    auto result = object_schema(o);
    result["type"] = json::array({"object", "null"}); // a section whose keys are all commented out
    return result;
  }

  json operator()(const list_ref& list) const {
    list.resize(1); // an entry to take the defaults from
    json result{{"type", "array"}};
    if (r.least)
      result["minItems"] = *r.least;
    else
      result["type"] = json::array({"array", "null"});
    result["items"] = object_schema(list.at(0));
    return result;
  }
};

struct default_of {
  json operator()(const bool* v) const { return *v; }
  json operator()(const std::string* v) const { return v->empty() ? json{} : json(*v); }
  json operator()(const unsigned* v) const { return *v; }
  json operator()(const std::uint16_t* v) const { return *v; }
  json operator()(const std::uint64_t* v) const { return *v; }
  json operator()(const double* v) const { return *v; }
  json operator()(const bytes* v) const { return to_text(*v); }
  json operator()(const endpoint* v) const { return v->text(); }
  json operator()(const milliseconds* v) const { return to_text(*v); }
  json operator()(const seconds* v) const { return to_text(milliseconds{*v}); }
  json operator()(const std::vector<std::string>*) const { return json{}; }

  json operator()(const word_ref& w) const {
    auto row = std::find_if(w.words.begin(), w.words.end(), [&](const word& x) { return x.value == w.get(); });
    return row == w.words.end() ? json{} : spelled(row->text);
  }

  json operator()(const object_ref&) const { return json{}; }
  json operator()(const list_ref&) const { return json{}; }
};

/// Sizes and durations are texts, whose limits a schema cannot check: they go into the documentation.
std::string documentation(const field_info& info, const value_ref& value) {
  const bool spell_out = std::holds_alternative<bytes*>(value) || std::holds_alternative<milliseconds*>(value)
                         || std::holds_alternative<seconds*>(value);
  const std::string text{info.documentation};
  return spell_out ? text + " Expected: " + expectation(value, info.limits) + "." : text;
}

/// Describes one object: an allOf of one `if` for each alternative, or plain properties.
class schema_writer : public visitor {
public:
  void field(const field_info& info, value_ref value) override {
    json schema{{"description", documentation(info, value)}};
    auto standard = info.need == presence::optional ? std::visit(default_of{}, value) : json{};
    schema.update(std::visit(schema_of{info.limits}, value));
    if (!standard.is_null())
      schema["default"] = std::move(standard);
    properties_[std::string{info.key}] = std::move(schema);
    if (info.need == presence::required)
      required_.push_back(info.key);
  }

  void choose(std::string_view key, std::string_view text, std::string_view standard,
              std::vector<alternative> alternatives) override {
    chosen_key_ = key;
    standard_ = standard;
    documentation_ = text;
    alternatives_ = std::move(alternatives);
  }

  bool wants(std::string_view) override { return true; }

  json take() {
    json result{{"type", "object"}};
    if (alternatives_.empty())
      describe_into(result);
    else
      describe_alternatives_into(result);
    return result;
  }

private:
  void describe_into(json& result) {
    result["properties"] = std::move(properties_);
    if (!required_.empty())
      result["required"] = std::move(required_);
    result["additionalProperties"] = false;
  }

  void describe_alternatives_into(json& result) {
    json words = json::array();
    for (const auto& a : alternatives_)
      words.push_back(a.word);
    json choice{{"description", documentation_}, {"enum", words}};
    if (!standard_.empty())
      choice["default"] = standard_;
    result["properties"] = {{chosen_key_, choice}};
    if (standard_.empty())
      result["required"] = {chosen_key_};
    for (const auto& a : alternatives_)
      result["allOf"].push_back(alternative_schema(a));
  }

  /// Each alternative repeats the common fields, so that its additionalProperties: false is complete; editors
  /// understand this better than unevaluatedProperties.
  json alternative_schema(const alternative& a) const {
    json condition{{"properties", {{chosen_key_, {{"const", a.word}}}}}};
    if (a.word != standard_)
      condition["required"] = {chosen_key_};
    schema_writer shape;
    shape.properties_ = properties_;
    shape.required_ = required_;
    shape.properties_[chosen_key_] = {{"description", a.documentation}};
    a.fields(shape);
    json consequence;
    shape.describe_into(consequence);
    return {{"if", condition}, {"then", consequence}};
  }

  json properties_ = json::object();
  json required_ = json::array();
  std::string chosen_key_;
  std::string standard_;
  std::string documentation_;
  std::vector<alternative> alternatives_;
};

json object_schema(const object_ref& object) {
  schema_writer writer;
  object.fields(writer);
  return writer.take();
}

} // namespace

std::string json_schema() {
  gateway defaults;
  json schema{{"$schema", "https://json-schema.org/draft/2020-12/schema"},
              {"title", "holdfast gateway"},
              {"description", "The one configuration file of a holdfast gateway or collector."}};
  schema.update(object_schema(object_reference(defaults)));
  return schema.dump(2) + "\n";
}

} // namespace holdfast::config
