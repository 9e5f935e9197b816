// What the packaged CAF 0.17.6 orders, told to ThreadSanitizer. Linked into the preset tsan alone.
//
// The library is not instrumented: TSan sees its mutexes, which are calls, but not its atomics, and would take each message
// and each change of the thread that runs an actor for a race. These definitions stand before those of libcaf_core.so:
// the short ones are its own, compiled with instrumentation; the others call it and name the order that it gives.
// - What came before a message was sent came before it is handled, or dropped.
// - What an actor did came before what it does next, in whichever thread.
// - What came before a functor was attached came before it is called.
// Nothing more: two actors, or an actor and a thread, that share something without one of these are still reported.

#include <caf/all.hpp>
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

namespace caf {

namespace {

// The library's definition of a member function: of the ABI of a function that takes the object first.
template <class Function> Function* original(const char* symbol) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, symbol));
}

// An element has one address for each of its bases: the one that deletes it.
void* place_of(const memory_managed& element) { return const_cast<memory_managed*>(&element); }

// An actor's own order is kept at its address; that of what others attach to it beside.
void* attached(abstract_actor* a) { return reinterpret_cast<char*>(a) + 1; }

} // namespace

void memory_managed::request_deletion(bool) const noexcept {
  __tsan_acquire(place_of(*this));
  delete this;
}

void ref_counted::deref() const noexcept {
  if (unique())
    request_deletion(false);
  else if (rc_.fetch_sub(1, std::memory_order_acq_rel) == 1)
    request_deletion(true);
}

void intrusive_ptr_release(actor_control_block* x) {
  if (x->strong_refs.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    x->data_dtor(x->get());
    intrusive_ptr_release_weak(x);
  }
}

void intrusive_ptr_release_weak(actor_control_block* x) {
  if (x->weak_refs == 1 || x->weak_refs.fetch_sub(1, std::memory_order_acq_rel) == 1)
    x->block_dtor(x);
}

void scheduled_actor::enqueue(mailbox_element_ptr element, execution_unit* unit) {
  static const auto next = original<void(scheduled_actor*, mailbox_element_ptr, execution_unit*)>(
    "_ZN3caf15scheduled_actor7enqueueESt10unique_ptrINS_15mailbox_elementENS_6detail8disposerEEPNS_14execution_unitE");
  __tsan_release(place_of(*element));
  next(this, std::move(element), unit);
}

// A thread takes the actor up; the first time it runs the function that makes its behaviour.
bool scheduled_actor::activate(execution_unit* unit) {
  static const auto next =
    original<bool(scheduled_actor*, execution_unit*)>("_ZN3caf15scheduled_actor8activateEPNS_14execution_unitE");
  __tsan_acquire(this);
  const bool alive = next(this, unit);
  __tsan_release(this);
  return alive;
}

scheduled_actor::activation_result scheduled_actor::reactivate(mailbox_element& element) {
  static const auto next = original<activation_result(scheduled_actor*, mailbox_element&)>(
    "_ZN3caf15scheduled_actor10reactivateERNS_15mailbox_elementE");
  __tsan_acquire(place_of(element));
  const auto result = next(this, element);
  __tsan_release(this);
  return result;
}

void monitorable_actor::attach(attachable_ptr functor) {
  static const auto next = original<void(monitorable_actor*, attachable_ptr)>(
    "_ZN3caf17monitorable_actor6attachESt10unique_ptrINS_10attachableESt14default_deleteIS2_EE");
  __tsan_release(attached(this));
  next(this, std::move(functor));
}

bool monitorable_actor::cleanup(error&& reason, execution_unit* unit) {
  static const auto next = original<bool(monitorable_actor*, error&&, execution_unit*)>(
    "_ZN3caf17monitorable_actor7cleanupEONS_5errorEPNS_14execution_unitE");
  __tsan_acquire(attached(this));
  return next(this, std::move(reason), unit);
}

} // namespace caf
