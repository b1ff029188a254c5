/* Reads model.h as a device's firmware would: writes the model's bytes and facts of it, and
 * computes features of samples from the constants alone.
 *
 *     main BYTES < SAMPLES (float32) > FACTS
 *
 * The header's first three features must be log_mel, mfcc and chroma. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "model.h"

#define BINS (MODEL_FFT_LENGTH / 2 + 1)
#define MOST 65536

static float samples[MOST];
static float power[BINS];

static void spectrum(long first, long count) {
    const double turn = 2 * 3.14159265358979323846 / MODEL_FFT_LENGTH;
    for (int bin = 0; bin < BINS; bin++) {
        double real = 0, imaginary = 0;
        for (int n = 0; n < MODEL_WINDOW_LENGTH; n++) {
            long at = first + MODEL_WINDOW_START + n;
            double value = at >= 0 && at < count ? samples[at] * model_window[n] : 0;
            double angle = turn * (double)((long)bin * (MODEL_WINDOW_START + n) % MODEL_FFT_LENGTH);
            real += value * cos(angle);
            imaginary -= value * sin(angle);
        }
        power[bin] = (float)(real * real + imaginary * imaginary);
    }
}

static float band(const float *weights, int start, int width) {
    float sum = 0;
    for (int k = 0; k < width; k++) sum += weights[k] * power[start + k];
    return 10 * log10f(fmaxf(sum, 1e-10f));
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    FILE *bytes = fopen(argv[1], "wb");
    if (!bytes || fwrite(model_data, 1, sizeof model_data, bytes) != MODEL_DATA_SIZE) return 1;
    if (fclose(bytes)) return 1;

    printf("aligned %d\n", (int)((uintptr_t)model_data % 16 == 0));
    printf("sha256 %s\n", MODEL_FLATBUFFER_SHA256);
    printf("input %s %d %.9g %d\n", MODEL_INPUT_TYPE, MODEL_INPUT_SIZE, (double)MODEL_INPUT_SCALE,
           MODEL_INPUT_ZERO_POINT);
    printf("output %s %d %.9g %d\n", MODEL_OUTPUT_TYPE, MODEL_OUTPUT_SIZE,
           (double)MODEL_OUTPUT_SCALE, MODEL_OUTPUT_ZERO_POINT);
    printf("temperature %.9g\n", (double)MODEL_TEMPERATURE);
    for (int i = 0; i < MODEL_LABEL_COUNT; i++) printf("label %s\n", model_labels[i]);
    for (int i = 0; i < MODEL_FEATURE_COUNT; i++)
        printf("feature %s %.9g %.9g\n", model_feature_names[i], (double)model_normaliser_mean[i],
               (double)model_normaliser_scale[i]);

    long count = (long)fread(samples, sizeof samples[0], MOST, stdin);
    long margin = MODEL_CENTRED ? MODEL_FFT_LENGTH / 2 : 0;
    for (int frame = 0; frame < MODEL_CLIP_FRAMES; frame++) {
        spectrum((long)frame * MODEL_HOP_LENGTH - margin, count);
        printf("frame");
        const float *weights = model_f0_mel_weights;
        for (int b = 0; b < MODEL_F0_BANDS; weights += model_f0_mel_counts[b++])
            printf(" %.9g", (double)band(weights, model_f0_mel_starts[b], model_f0_mel_counts[b]));
        float decibels[MODEL_F1_BANDS];
        weights = model_f1_mel_weights;
        for (int b = 0; b < MODEL_F1_BANDS; weights += model_f1_mel_counts[b++])
            decibels[b] = band(weights, model_f1_mel_starts[b], model_f1_mel_counts[b]);
        for (int c = 0; c < MODEL_F1_COUNT; c++) {
            float sum = 0;
            for (int b = 0; b < MODEL_F1_BANDS; b++)
                sum += model_f1_dct[b * MODEL_F1_COUNT + c] * decibels[b];
            printf(" %.9g", (double)sum);
        }
        float classes[MODEL_F2_BINS], largest = 0;
        for (int c = 0; c < MODEL_F2_BINS; c++) {
            classes[c] = 0;
            for (int k = 0; k < BINS; k++)
                classes[c] += model_f2_chroma[k * MODEL_F2_BINS + c] * power[k];
            largest = fmaxf(largest, classes[c]);
        }
        for (int c = 0; c < MODEL_F2_BINS; c++) printf(" %.9g", (double)(classes[c] / largest));
        printf("\n");
    }
    return 0;
}
