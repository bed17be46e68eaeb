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

// Called by a session that is told of this library. An error refuses the library, not the process.
extern "C" WORDTELL_EXPORT OrtStatus* RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) {
  const OrtApi* api = base->GetApi(kApiVersion);
  if (api == nullptr) {
    // Without the table of our version only the first slots are sure: version 1 has CreateStatus.
    const OrtApi* first = base->GetApi(1);
    return first == nullptr ? nullptr
                            : first->get<CreateStatus>()(OrtErrorCode::fail, "needs ONNX Runtime 1.17 or newer");
  }
  return wordtell::guarded(*api, [&] {
    wordtell::best_isa();  // an instruction set that does not exist is refused before a graph is read
    // The runtime keeps pointers to the domain and its operators for as long as any session lives: for ever.
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

// The instruction set whose kernels run in this process: scores of one model differ slightly between some of them.
// When WORDTELL_ISA names none, that is null and wordtell_isa_error says why.
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

// What the processor has and the system refuses; empty when there is nothing to tell.
extern "C" WORDTELL_EXPORT const char* wordtell_isa_refused() { return wordtell::features().refused; }

// See cpu/peak.h; valid until this thread calls it again. Null when something is thrown: a thread cannot be had, say.
extern "C" WORDTELL_EXPORT const char* wordtell_peak(const char* type, int threads, double seconds) {
  thread_local std::string found;
  try {
    found = wordtell::peak(type, threads, seconds);
    return found.c_str();
  } catch (...) {
    return nullptr;
  }
}
