/* An external delegate for the tests: runs MEAN and FULLY_CONNECTED of tests/data/toy_float.
 *
 * Options: take=all|mean|none, fail=create|prepare|kernel|invoke, scale=NUMBER (what its
 * logits are multiplied by, so that a test can tell who computed them).
 *
 * The declarations below are the documented C interface of TensorFlow Lite, as far as it is
 * needed: alike in tflite-runtime 2.14, ai-edge-litert 2.3 and TensorFlow 2.21 on 64-bit
 * machines. Structures that a library passes are declared up to the last member used.
 */
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, ERROR = 1, MEAN = 40, FULLY_CONNECTED = 9 };

typedef struct { int size; int data[]; } Ints;

typedef struct Tensor {
  int type; void *data; Ints *dims; float scale; int32_t zero_point; int allocation_type;
  size_t bytes; const void *allocation; const char *name; void *delegate; int buffer_handle;
  char stale, variable; int quantization_type; void *quantization; void *sparsity;
  const Ints *dims_signature;
} Tensor;

typedef struct { Ints *inputs, *outputs, *intermediates, *temporaries; void *user_data; } Node;

struct Context;

typedef struct {
  void *(*init)(struct Context *, const char *, size_t);
  void (*free)(struct Context *, void *);
  int (*prepare)(struct Context *, Node *);
  int (*invoke)(struct Context *, Node *);
  const char *(*profiling_string)(const struct Context *, const Node *);
  int32_t builtin_code; const char *custom_name; int version;
  void *external; void *async_kernel; uint64_t inplace; void *reserved[4];
} Registration;

typedef struct Delegate {
  void *data; int (*prepare)(struct Context *, struct Delegate *);
  void *from_buffer, *to_buffer, *free_buffer; int64_t flags; void *builder;
} Delegate;

typedef struct Context {
  size_t tensors_size;
  int (*execution_plan)(struct Context *, Ints **);
  Tensor *tensors; void *impl;
  int (*resize)(struct Context *, Tensor *, Ints *);
  void (*report)(struct Context *, const char *, ...);
  int (*add_tensors)(struct Context *, int, int *);
  int (*node)(struct Context *, int, Node **, Registration **);
  int (*replace)(struct Context *, Registration, const Ints *, Delegate *);
} Context;

typedef struct { Delegate *delegate; Ints *nodes, *inputs, *outputs; } Group;

typedef struct { char take[8], fail[8]; float scale; } Options;

/* One group of nodes that was taken, in the order of the graph. */
typedef struct { int count; struct { int code; int in, weights, bias, out; } node[8]; Options *options; } Kernel;

static void *kernel_init(Context *context, const char *buffer, size_t length) {
  const Group *group = (const Group *)buffer;
  Kernel *kernel = calloc(1, sizeof(Kernel));
  kernel->options = group->delegate->data;
  for (int i = 0; i < group->nodes->size && i < 8; i++) {
    Node *node; Registration *kind;
    context->node(context, group->nodes->data[i], &node, &kind);
    const Ints *in = node->inputs;
    kernel->node[i].code = kind->builtin_code;
    kernel->node[i].in = in->data[0];
    kernel->node[i].weights = in->data[1];
    kernel->node[i].bias = in->size > 2 ? in->data[2] : -1;
    kernel->node[i].out = node->outputs->data[0];
    kernel->count++;
  }
  return kernel;
}

static void kernel_free(Context *context, void *kernel) { free(kernel); }

static int kernel_prepare(Context *context, Node *node) {
  Kernel *kernel = node->user_data;
  if (strcmp(kernel->options->fail, "kernel")) return OK;
  context->report(context, "the accelerator is out of memory. ");
  return ERROR;
}

static int kernel_invoke(Context *context, Node *node) {
  Kernel *kernel = node->user_data;
  if (!strcmp(kernel->options->fail, "invoke")) {
    context->report(context, "the accelerator was unplugged. ");
    return ERROR;
  }
  /* A tensor between two nodes of one group has no memory of its own. */
  float between[64];
  for (int i = 0; i < kernel->count; i++) {
    Tensor *in = &context->tensors[kernel->node[i].in], *out = &context->tensors[kernel->node[i].out];
    const float *from = in->data ? in->data : between;
    float *to = out->data ? out->data : between;
    int wide = in->dims->data[in->dims->size - 1];
    if (kernel->node[i].code == MEAN) {
      int high = in->dims->data[1];
      for (int k = 0; k < wide; k++) {
        float sum = 0;
        for (int t = 0; t < high; t++) sum += from[t * wide + k];
        to[k] = sum / high;
      }
    } else {
      const float *weights = context->tensors[kernel->node[i].weights].data;
      const float *bias = context->tensors[kernel->node[i].bias].data;
      for (int o = 0; o < out->dims->data[1]; o++) {
        float sum = bias[o];
        for (int k = 0; k < wide; k++) sum += weights[o * wide + k] * from[k];
        to[o] = sum * kernel->options->scale;
      }
    }
  }
  return OK;
}

static int delegate_prepare(Context *context, Delegate *self) {
  Options *options = self->data;
  if (!strcmp(options->fail, "prepare")) {
    context->report(context, "the accelerator knows no such graph. ");
    return ERROR;
  }
  Ints *plan;
  if (context->execution_plan(context, &plan)) return ERROR;
  Ints *taken = calloc(1, sizeof(Ints) + plan->size * sizeof(int));
  for (int i = 0; i < plan->size; i++) {
    Node *node; Registration *kind;
    context->node(context, plan->data[i], &node, &kind);
    int known = kind->builtin_code == MEAN || kind->builtin_code == FULLY_CONNECTED;
    int wanted = !strcmp(options->take, "all") || (!strcmp(options->take, "mean") && kind->builtin_code == MEAN);
    if (known && wanted) taken->data[taken->size++] = plan->data[i];
  }
  Registration kernel = {kernel_init, kernel_free, kernel_prepare, kernel_invoke};
  kernel.custom_name = "Toy";
  kernel.version = 1;
  int status = context->replace(context, kernel, taken, self);
  free(taken);
  return status;
}

Delegate *tflite_plugin_create_delegate(char **names, char **values, size_t count, void (*report)(const char *)) {
  Options *options = calloc(1, sizeof(Options));
  strcpy(options->take, "all");
  options->scale = 1;
  for (size_t i = 0; i < count; i++) {
    if (!strcmp(names[i], "take")) strncpy(options->take, values[i], 7);
    else if (!strcmp(names[i], "fail")) strncpy(options->fail, values[i], 7);
    else if (!strcmp(names[i], "scale")) options->scale = atof(values[i]);
    else { report("unknown option "); report(names[i]); free(options); return NULL; }
  }
  if (!strcmp(options->fail, "create")) { report("no accelerator here"); free(options); return NULL; }
  Delegate *delegate = calloc(1, sizeof(Delegate));
  delegate->data = options;
  delegate->prepare = delegate_prepare;
  return delegate;
}

#ifndef HALF
void tflite_plugin_destroy_delegate(Delegate *delegate) {
  if (delegate) free(delegate->data);
  free(delegate);
}
#endif
