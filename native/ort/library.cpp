// The library's entry point.

#include <cstdio>
#include <exception>
#include <string>

#include "cpu/features.h"
#include "cpu/instruction_sets.h"
#include "cpu/peak.h"
#include "ort/operator.h"
#include "ort/operators.h"

#if defined(_WIN32)
#define WORDTELL_EXPORT __declspec(dllexport)
#else
#define WORDTELL_EXPORT __attribute__((visibility("default")))
#endif

// Called when a session registers this library. An error refuses the library; the process goes on.
extern "C" WORDTELL_EXPORT OrtStatus* RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) {
  const OrtApi* api = base->GetApi(kApiVersion);
  if (api == nullptr) {
    // Only the slots of version 1 are certain to exist here; CreateStatus is one.
    const OrtApi* first = base->GetApi(1);
    return first == nullptr ? nullptr
                            : first->get<CreateStatus>()(OrtErrorCode::fail, "needs ONNX Runtime 1.17 or newer");
  }
  return wordtell::guarded(*api, [&] {
    wordtell::best_isa();  // throws before a graph is read if WORDTELL_ISA is unknown
    // The runtime keeps pointers to the domain and its operators as long as any session exists, so it is never freed.
    static OrtCustomOpDomain* const domain = [&] {
      OrtCustomOpDomain* made = nullptr;
      wordtell::check(*api, api->get<CreateCustomOpDomain>()("wordtell", &made));
      for (const OrtCustomOp* op :
           {wordtell::attention(), wordtell::disentangled_attention(), wordtell::quantized_linear(),
            wordtell::add_layer_norm()}) {
        wordtell::check(*api, api->get<CustomOpDomainAdd>()(made, op));
      }
      return made;
    }();
    wordtell::check(*api, api->get<AddCustomOpDomain>()(options, domain));
  });
}

// The instruction set of the kernels in this process; scores of one model differ slightly between some of them.
// Null if WORDTELL_ISA is not a known name; wordtell_isa_error then has the message.
extern "C" WORDTELL_EXPORT const char* wordtell_isa() {
  try {
    return wordtell::name(wordtell::best_isa());
  } catch (...) {
    return nullptr;
  }
}

extern "C" WORDTELL_EXPORT const char* wordtell_isa_error() {
  static char message[256];
  try {
    wordtell::best_isa();
  } catch (const std::exception& error) {
    std::snprintf(message, sizeof message, "%s", error.what());
  }
  return message;
}

// Features that the processor has and the operating system refuses; empty if there are none.
extern "C" WORDTELL_EXPORT const char* wordtell_isa_refused() { return wordtell::features().refused; }

// See cpu/peak.h. Valid until this thread calls it again. Null after an exception, as when no thread can be started.
extern "C" WORDTELL_EXPORT const char* wordtell_peak(const char* type, int threads, double seconds) {
  thread_local std::string found;
  try {
    found = wordtell::peak(type, threads, seconds);
    return found.c_str();
  } catch (...) {
    return nullptr;
  }
}
