#pragma once

// Every field of the configuration is declared once: fields(visitor, struct) names each with its YAML key, its
// documentation and its limits. The YAML reader and the JSON Schema generator are two visitors over these declarations
// (fields_field_side.cpp, fields_operation.cpp), so they cannot disagree.

#include "common/config/config.hpp"

#include <concepts>
#include <functional>
#include <span>
#include <string_view>
#include <type_traits>

namespace holdfast::config {

class visitor;

// -- limits ---------------------------------------------------------------------------------------------------------

/// filled: not empty. name: a file, topic and socket name. stream: names joined by '/'. interface: of the network.
/// address: numeric, of IP.
enum class text_rule { any, filled, name, stream, interface, address };

/// What a value may be. Limits are in milliseconds, bytes or plain numbers as the field has it; entries for a list.
struct rule {
  std::optional<std::int64_t> least;
  std::optional<std::int64_t> most;
  text_rule text = text_rule::any;
  std::span<const std::string_view> words; ///< the only texts allowed; empty: any
};

inline rule between(std::int64_t least, std::int64_t most) { return {least, most, {}, {}}; }
inline rule between(milliseconds least, milliseconds most) { return between(least.count(), most.count()); }
inline rule between(bytes least, bytes most) {
  return between(static_cast<std::int64_t>(least.count), static_cast<std::int64_t>(most.count));
}
inline rule at_least(std::int64_t least) { return {least, {}, {}, {}}; }
inline rule text_of(text_rule text) { return {{}, {}, text, {}}; }
inline rule one_of(std::span<const std::string_view> words) { return {{}, {}, {}, words}; }

inline constexpr std::size_t max_name_length = 64;

/// Patterns of text_rule::name and ::stream in ECMAScript syntax. No segment of a stream may start with a dot, so that
/// a stream used as a path stays below its directory.
inline constexpr std::string_view name_pattern = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}";
inline constexpr std::string_view stream_pattern = "[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*";

/// What the kernel takes as an interface's name, and what looks like an address.
inline constexpr std::string_view interface_pattern = "(?!\\.{1,2}$)[^/:\\s]{1,15}";
inline constexpr std::string_view address_pattern
  = "[0-9]{1,3}(\\.[0-9]{1,3}){3}|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*(%[^/:\\s]{1,15})?";

/// Whether a text satisfies the rule's text part.
bool allows(const rule& r, std::string_view text);

// -- words for enums ------------------------------------------------------------------------------------------------

struct word {
  std::string_view text;
  int value;
};

std::span<const word> words(framing_kind);
std::span<const word> words(confirm_kind);
std::span<const word> words(register_table);
std::span<const word> words(register_type);
std::span<const word> words(report_kind);
std::span<const word> words(waveform);
std::span<const word> words(restart_strategy);
std::span<const word> words(holdfast::link::budget_rule);
std::span<const word> words(overflow_rule);

// -- references to fields, without their types ----------------------------------------------------------------------

struct word_ref {
  std::span<const word> words;
  std::function<int()> get;
  std::function<void(int)> set;
};

struct object_ref {
  const void* self;
  std::function<void(visitor&)> fields;
};

struct list_ref {
  std::function<void(std::size_t)> resize;
  std::function<object_ref(std::size_t)> at;
};

using value_ref = std::variant<bool*, std::string*, unsigned*, std::uint16_t*, std::uint64_t*, double*, bytes*,
                               endpoint*, milliseconds*, seconds*, std::vector<std::string>*, word_ref, object_ref,
                               list_ref>;

/// One shape of an object, chosen by the word under a key such as `type`.
struct alternative {
  std::string_view word;
  std::string_view documentation;
  std::function<void(visitor&)> fields; ///< makes the shape and declares its fields
};

/// What a value of this field looks like, for messages and the schema: "a duration from 10ms to 1min".
std::string expectation(const value_ref& value, const rule& r);

// -- the visitor ----------------------------------------------------------------------------------------------------

enum class presence {
  required,
  optional, ///< the value before the visit is the default
  open      ///< optional, and absent means something that no value says
};

struct field_info {
  std::string_view key;
  std::string_view documentation;
  presence need;
  rule limits;
};

template <class T>
value_ref reference_to(T& value);

template <class T>
word_ref words_reference(T& value, std::span<const word> words) {
  return {words, [&value] { return static_cast<int>(value); }, [&value](int v) { value = static_cast<T>(v); }};
}

class visitor {
public:
  virtual ~visitor() = default;

  /// One field of the present object.
  virtual void field(const field_info& info, value_ref value) = 0;

  /// The field under `key` decides what other fields there are. No standard: the key is required.
  virtual void choose(std::string_view key, std::string_view documentation, std::string_view standard,
                      std::vector<alternative> alternatives) = 0;

  /// Whether to visit an optional value at all; tells the visitor that the key exists.
  virtual bool wants(std::string_view key) = 0;

  template <class T>
  void required(std::string_view key, T& value, std::string_view documentation, rule limits = {}) {
    field({key, documentation, presence::required, limits}, reference_to(value));
  }

  template <class T>
  void optional(std::string_view key, T& value, std::string_view documentation, rule limits = {}) {
    field({key, documentation, presence::optional, limits}, reference_to(value));
  }

  template <class T>
  void optional(std::string_view key, std::optional<T>& value, std::string_view documentation, rule limits = {}) {
    if (wants(key))
      field({key, documentation, presence::open, limits}, reference_to(value.emplace()));
  }

  /// A value that is not an enum in the struct but is written as a word.
  template <class T>
  void optional_word(std::string_view key, T& value, std::span<const word> allowed, std::string_view documentation) {
    field({key, documentation, presence::optional, {}}, words_reference(value, allowed));
  }
};

// -- declarations ---------------------------------------------------------------------------------------------------

void fields(visitor& v, framing& f);
void fields(visitor& v, batching& b);
void fields(visitor& v, serial_line& l);
void fields(visitor& v, modbus_point& p);
void fields(visitor& v, modbus_device& d);
void fields(visitor& v, simulated_signal& s);
void fields(visitor& v, source& s);
void fields(visitor& v, record_class& c);
void fields(visitor& v, store& s);
void fields(visitor& v, destination& d);
void fields(visitor& v, tls& t);
void fields(visitor& v, keepalive& k);
void fields(visitor& v, reconnect& r);
void fields(visitor& v, holdfast::link::monitor_settings& m);
void fields(visitor& v, holdfast::link::loss_settings& l);
void fields(visitor& v, holdfast::link::delay_settings& d);
void fields(visitor& v, holdfast::link::breaker_settings& b);
void fields(visitor& v, holdfast::link::damping_settings& d);
void fields(visitor& v, holdfast::link::route_settings& r);
void fields(visitor& v, holdfast::link::profile& p);
void fields(visitor& v, link& l);
void fields(visitor& v, health& h);
void fields(visitor& v, watchdog& w);
void fields(visitor& v, collector& c);
void fields(visitor& v, log& l);
void fields(visitor& v, gateway& g);

// -- implementation -------------------------------------------------------------------------------------------------

template <class T>
concept described = requires(visitor& v, T& value) { fields(v, value); };

template <described T>
object_ref object_reference(T& value) {
  return {&value, [&value](visitor& v) { fields(v, value); }};
}

template <described T>
value_ref list_reference(std::vector<T>& list) {
  return list_ref{[&list](std::size_t size) { list.resize(size); },
                  [&list](std::size_t i) { return object_reference(list[i]); }};
}

template <class T>
value_ref reference_to(T& value) {
  if constexpr (std::is_enum_v<T>)
    return words_reference(value, words(T{}));
  else if constexpr (described<T>)
    return object_reference(value);
  else if constexpr (requires { list_reference(value); })
    return list_reference(value);
  else
    return &value;
}

} // namespace holdfast::config
