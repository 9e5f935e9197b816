// What the packaged ZeroMQ orders, told to ThreadSanitizer: whoever frees what was given to a message comes behind whoever
// gave it. See caf_order.cpp; unit/tsan.supp has the library ignored otherwise.

#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>
#include <zmq.h>

#include <cstddef>

namespace {

struct handed_over {
  zmq_free_fn* free;
  void* hint;
};

void take_back(void* data, void* what) {
  __tsan_acquire(what);
  auto* given = static_cast<handed_over*>(what);
  given->free(data, given->hint);
  delete given;
}

} // namespace

extern "C" int zmq_msg_init_data(zmq_msg_t* message, void* data, std::size_t size, zmq_free_fn* free, void* hint) {
  static const auto next = reinterpret_cast<decltype(&zmq_msg_init_data)>(::dlsym(RTLD_NEXT, "zmq_msg_init_data"));
  auto* given = new handed_over{free, hint};
  __tsan_release(given);
  return next(message, data, size, take_back, given);
}
