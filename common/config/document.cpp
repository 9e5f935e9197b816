// YAML text to a tree of our own. yaml-cpp's events instead of its nodes: they keep duplicate keys visible, and the
// tree can be limited while it grows.

#include "common/config/load.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <set>
#include <sstream>
#include <unordered_map>

namespace holdfast::config::detail {

namespace {

constexpr std::size_t max_nodes = 250'000; // some 15000 modbus points; an alias counts as what it copies
constexpr std::size_t max_depth = 32;

/// Ends the parse; the problem has been reported.
struct give_up {};

class tree_builder : public YAML::EventHandler {
public:
  explicit tree_builder(report& to) : report_(to) {}

  node take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add({.at = place_of(mark)}, anchor);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    const auto at = place_of(mark);
    refuse_foreign_tag(tag, at);
    // Keys are names of ours: only values may come from the environment.
    auto expanded = expects_key() ? text : expand_environment(text, at, report_);
    add({.kind = node::type::scalar, .at = at, .text = expanded.value_or(""), .broken = !expanded}, anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      report_.add(place_of(mark), "an alias within its own anchor");
      throw give_up{};
    }
    count(found->second.size, place_of(mark));
    add(found->second.value, 0);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(node::type::sequence, mark, tag, anchor);
  }

  void OnSequenceEnd() override { close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(node::type::map, mark, tag, anchor);
  }

  void OnMapEnd() override { close(); }

private:
  struct anchored {
    node value;
    std::size_t size = 0;
  };

  /// A sequence or map whose end has not been seen.
  struct frame {
    node value;
    YAML::anchor_t anchor = 0;
    std::size_t nodes_before = 0;
    std::set<std::string> keys_seen;
  };

  static place place_of(const YAML::Mark& mark) { return {mark.line + 1, mark.column + 1}; }

  bool expects_key() const {
    return !open_.empty() && open_.back().value.kind == node::type::map
           && open_.back().value.keys.size() == open_.back().value.items.size();
  }

  void refuse_foreign_tag(const std::string& tag, place at) {
    if (!tag.empty() && tag != "?" && tag != "!" && !tag.starts_with("tag:yaml.org,2002:"))
      report_.add(at, "tag " + quoted(tag) + " has no meaning here; remove it");
  }

  void count(std::size_t nodes, place at) {
    nodes_ += nodes;
    if (nodes_ <= max_nodes)
      return;
    report_.add(at, "more than " + std::to_string(max_nodes) + " values (aliases count as what they copy)");
    throw give_up{};
  }

  void open(node::type kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    const auto at = place_of(mark);
    refuse_foreign_tag(tag, at);
    if (expects_key()) {
      report_.add(at, "a key must be a plain word, not a list or map");
      throw give_up{};
    }
    if (open_.size() >= max_depth) {
      report_.add(at, "nested deeper than " + std::to_string(max_depth) + " levels");
      throw give_up{};
    }
    open_.push_back({{.kind = kind, .at = at}, anchor, nodes_, {}});
  }

  void close() {
    auto done = std::move(open_.back());
    open_.pop_back();
    const auto size = nodes_ - done.nodes_before + 1;
    keep(done.anchor, done.value, size);
    count(1, done.value.at);
    attach(std::move(done.value));
  }

  void add(node value, YAML::anchor_t anchor) {
    count(1, value.at);
    keep(anchor, value, 1);
    attach(std::move(value));
  }

  void keep(YAML::anchor_t anchor, const node& value, std::size_t size) {
    if (anchor == 0)
      return;
    count(size, value.at);
    anchors_[anchor] = {value, size};
  }

  void attach(node value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return;
    }
    auto& parent = open_.back();
    if (expects_key())
      attach_key(parent, value);
    else
      parent.value.items.push_back(std::move(value));
  }

  void attach_key(frame& parent, node& key) {
    if (key.kind != node::type::scalar) {
      report_.add(key.at, "a key must be a plain word");
      throw give_up{};
    }
    if (!parent.keys_seen.insert(key.text).second)
      report_.add(key.at, "duplicate key " + quoted(key.text));
    parent.value.keys.push_back({std::move(key.text), key.at});
  }

  report& report_;
  node root_;
  std::vector<frame> open_;
  std::unordered_map<YAML::anchor_t, anchored> anchors_;
  std::size_t nodes_ = 0;
};

} // namespace

std::optional<node> parse(std::string_view yaml, report& to) {
  try {
    std::istringstream stream{std::string{yaml}};
    YAML::Parser parser{stream};
    tree_builder first{to};
    const bool found = parser.HandleNextDocument(first);
    auto root = first.take();
    if (!found || root.kind == node::type::null) {
      to.add({1, 1}, "the file is empty");
      return std::nullopt;
    }
    tree_builder second{to};
    if (parser.HandleNextDocument(second)) {
      to.add(second.take().at, "a second document; the configuration is one document");
      return std::nullopt;
    }
    return root;
  } catch (const give_up&) {
    return std::nullopt;
  } catch (const YAML::Exception& e) {
    to.add({e.mark.line + 1, e.mark.column + 1}, "malformed YAML: " + e.msg);
  } catch (const std::exception& e) {
    to.add({}, std::string{"cannot be parsed: "} + e.what());
  }
  return std::nullopt;
}

} // namespace holdfast::config::detail
